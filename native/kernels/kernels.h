// The table of kernels that one instruction set provides, and the plain structs they work on.
//
// Kernels know nothing of threads, batches or models: they compute a stretch of one operation. Each output value is
// reduced in an order that depends on the shape of the weights alone, never on how many tokens share the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/blocks.h"
#include "formats/tiles.h"

namespace gadfly {

enum class Activation : uint8_t { kSilu, kGelu, kGeluErf };

// An activation row as int8, x[k] ≈ scale[k / 16] · codes[k]. In one stretch of memory: codes[width] | tiles[width /
// 32].
struct Int8Row {
    struct Tile {  // what is known of 32 columns, of either half
        float scale[2];
        float sum[2];         // Σ x, for weights with a minimum
        float total;          // of both
        int32_t bias[2];      // -128 Σ codes: starts products with codes that have 128 added to be unsigned
        int16_t pairs[2][2];  // -32 Σ codes of those at k % 4 < 2 and of the others: likewise where 32 is added
    };
    int8_t* codes;
    Tile* tiles;

    static constexpr size_t bytes(size_t width) { return width + width / kTile * sizeof(Tile); }
    static Int8Row at(std::byte* row, size_t width) {
        return {reinterpret_cast<int8_t*>(row), reinterpret_cast<Tile*>(row + width)};
    }
};

// Rows of activations, `stride` bytes apart; int8 rows for integer weights, float rows for float weights.
struct Rows {
    std::byte* data;
    size_t stride;

    std::byte* bytes(size_t row) const { return data + row * stride; }
    float* floats(size_t row) const { return reinterpret_cast<float*>(bytes(row)); }
    Int8Row int8s(size_t row, size_t width) const { return Int8Row::at(bytes(row), width); }
};

// What a page of the cache holds of one head. Keys are half floats [head_dim][slot]: softmax magnifies their errors.
// Values are half floats, or int8 codes, [slot][head_dim]; after codes there is a float scale per slot.
enum class Values : uint8_t { kHalf, kInt8 };
struct HeadPage {
    static constexpr size_t key_bytes(size_t head_dim, size_t page_size) { return head_dim * page_size * 2; }
    static constexpr size_t value_bytes(Values kind, size_t head_dim, size_t page_size) {
        return (kind == Values::kHalf ? 2 * head_dim : head_dim + 4) * page_size;
    }
};

// What a query has made of a stretch of positions, as floats: mixed[padded(head_dim)] | total | top. A position weighs
// 2^(score - top), `top` being the largest score, in powers of two; mixed is Σ weight · value, total is Σ weight.
struct AttendState {
    static constexpr size_t padded(size_t head_dim) { return (head_dim + 15) / 16 * 16; }
    static constexpr size_t floats(size_t head_dim) { return padded(head_dim) + 16; }  // whole cache lines
};

// Up to kQueries queries that read the same keys and values: heads of one group, neighbouring tokens, or both.
constexpr size_t kQueries = 48;
constexpr size_t kSpan = 256;  // positions that make a state, counted from position zero
struct AttendTask {
    const float* query[kQueries];               // head_dim floats each
    size_t first[kQueries], visible[kQueries];  // keys first … visible-1 take part
    float temperature[kQueries];                // what a query's scores are multiplied with at last
    size_t queries;
    size_t begin, end;  // the positions to be taken; `begin` is a multiple of 16. If they are not all that queries see,
                        // both are multiples of kSpan, but for the last `end`
    size_t head_dim;    // a multiple of 8
    size_t page_size;   // a multiple of 16
    float scale;
    float softcap;  // scores become softcap · tanh(score / softcap); 0: they stay
    const int32_t* pages;
    const std::byte* keys;    // of this head; page p starts at p · page_stride bytes
    const std::byte* values;  // likewise
    Values kind;              // of the values
    size_t page_stride;
    float* states;  // out: of every query, one after another; of every span, if they are to be kept apart
    bool apart;
    float* scratch;

    static constexpr size_t scratch_floats(size_t head_dim) {  // see Scratch in attention_scratch.h
        return kQueries * (head_dim + kSpan + 16 + AttendState::floats(head_dim)) + 32 * AttendState::padded(head_dim) +
               kSpan;
    }
};

// Where weights to be encoded come from: rows of floats, or int8 codes (columns, rows) with bfloat16 scales
// (groups, rows), as Grok-1 was released.
enum class Source : uint8_t { kFloat32, kFloat16, kBFloat16, kInt8 };

constexpr size_t source_bytes(Source source) {  // of a weight
    return source == Source::kFloat32 ? 4 : source == Source::kInt8 ? 1 : 2;
}

// A tile of rows [first_row, first_row + rows) and columns likewise: at most kEncodeRows × kEncodeColumns.
constexpr size_t kEncodeRows = 64, kEncodeColumns = 256;
struct EncodeTask {
    Format format;
    Source source;
    const std::byte* weights;
    const uint16_t* scales;   // of int8 codes
    size_t columns_in_group;  // that share a scale; a multiple of 8
    size_t matrix_rows, matrix_columns;
    size_t first_row, rows;
    size_t first_column, columns;  // multiples of the format's block
    const float* importance;       // of the matrix' columns, positive; or null: all errors matter alike
    uint8_t* out;                  // of first_row, all of its columns
    size_t row_bytes;              // of an encoded row
    float* scratch;                // kEncodeRows · kEncodeColumns floats
};

struct Kernels {
    std::string_view name;
    // out[t][r] = Σ_k x[t][k] · w[r][k] for the matrix rows of strips [first, last) and tokens [begin, end). Unless its
    // data is null, `rest` holds int8 rows of what those of x leave out, and the product is with both.
    void (*linear)(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t first, size_t last,
                   Rows out);
    // out[t][r] += factors[t - begin] · Σ_k x[t][k] · w[r][k], of a float layout and float rows.
    void (*add_linear)(const PackedMatrix& w, Rows x, const float* factors, size_t begin, size_t end, size_t first,
                       size_t last, Rows out);
    void (*quantise)(const float* x, size_t width, Int8Row out);  // width a multiple of 32
    void (*rms_norm)(const float* x, const float* weight, float eps, size_t width, float* out);
    // Rotates heads of x; cos and sin have dim / 2 values each, components from dim on are copied.
    void (*rope)(const float* x, const float* cos, const float* sin, size_t heads, size_t head_dim, size_t dim,
                 float* out);
    void (*gated)(const float* gate, const float* up, size_t width, Activation activation, float* out);
    void (*add)(const float* x, const float* y, size_t width, float* out);
    void (*scale)(const float* x, float factor, size_t width, float* out);
    void (*softcap)(const float* x, float cap, size_t width, float* out);        // cap · tanh(x / cap)
    void (*add_scaled)(const float* x, float factor, size_t width, float* out);  // out += factor · x
    void (*to_half)(const float* x, size_t width, uint16_t* out);                // width a multiple of 8
    // codes · scale ≈ x, the largest code being ±127; width a multiple of 8. Returns the scale.
    float (*to_int8)(const float* x, size_t width, int8_t* codes);
    void (*residual)(const float* x, Int8Row rounded, size_t width, float* out);  // what rounding to int8 left out
    void (*attend)(const AttendTask& task);
    // What a query gets in the end: its state, merged with the `later` ones that follow, `stride` floats apart.
    void (*conclude)(float* state, size_t later, size_t stride, size_t head_dim, float* out);
    bool (*encode)(const EncodeTask& task);  // false: a weight is no number or too large for the format
    // Multiplies what is in registers, floats or int8, and returns how many products that were: the ceiling.
    size_t (*exercise)(bool floats, size_t rounds);
};

const Kernels& portable_kernels();
#ifdef GADFLY_X86
const Kernels& avx2_kernels();
const Kernels& avx512vnni_kernels();
#endif
#ifdef GADFLY_ARM
const Kernels& neon_kernels();
#endif

// The kernels this processor can execute, fastest first; `portable` is always the last.
std::vector<const Kernels*> available_kernels();

}  // namespace gadfly

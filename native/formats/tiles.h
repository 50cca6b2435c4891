// The layouts that kernels multiply with: eight matrix rows side by side, so that one vector holds eight results.
//
// A packed matrix is a sequence of strips of eight rows. A strip of a float format is a sequence of columns, [column]
// [row]; of an integer format one of tiles of 32 columns, or of blocks of eight tiles whose scales are small integers
// times one float, as files have them. Rows are padded with zeros to a multiple of eight. How codes are packed:
// formats/codes.h. How rows as files hold them become strips: formats/repack.h.
//
// weight(row, k) is the weight at column k of a tile or block, in the order of float operations that defines the
// format.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "formats/blocks.h"
#include "formats/codes.h"
#include "formats/half.h"

namespace gadfly {

constexpr size_t kBlockTiles = 8;               // tiles of a block
constexpr size_t kBlock = kBlockTiles * kTile;  // columns of a block
constexpr size_t kGroup = 16;                   // activations that share a scale: half a tile

inline float to_float(uint16_t bits, Half) { return half_to_float(bits); }
inline float to_float(uint16_t bits, BFloat) { return std::bit_cast<float>(uint32_t{bits} << 16); }

template <class CodesOf>
struct MinimumTile {  // Q4_1, Q5_1
    using Codes = CodesOf;
    uint16_t d[kStrip], m[kStrip];
    Codes codes;

    static constexpr size_t kColumns = kTile;
    float weight(size_t row, size_t k) const {
        return half_to_float(d[row]) * static_cast<float>(codes.at(row, k)) + half_to_float(m[row]);
    }
};

template <class CodesOf, int offset>
struct OffsetTile {  // Q4_0, Q5_0: the minimum is -offset · d
    using Codes = CodesOf;
    uint16_t d[kStrip];
    Codes codes;

    static constexpr size_t kColumns = kTile;
    static constexpr int kOffset = offset;
    float weight(size_t row, size_t k) const {
        return half_to_float(d[row]) * static_cast<float>(codes.at(row, k) - offset);
    }
};

template <class CodesOf, class ScaleOf>
struct ScaledTile {  // Q8_0, IQ4_NL, the int8 rows of Grok-1's release
    using Codes = CodesOf;
    using Scale = ScaleOf;
    uint16_t d[kStrip];
    Codes codes;

    static constexpr size_t kColumns = kTile;
    float weight(size_t row, size_t k) const {
        return to_float(d[row], Scale{}) * static_cast<float>(codes.at(row, k));
    }
};

template <class CodesOf>
struct MinimumBlock {  // Q4_K, Q5_K: scale and minimum per tile
    using Codes = CodesOf;
    uint16_t d[kStrip], dmin[kStrip];
    uint8_t scale[kBlockTiles][kStrip], minimum[kBlockTiles][kStrip];
    Codes codes[kBlockTiles];

    static constexpr size_t kColumns = kBlock;
    float weight(size_t row, size_t k) const {
        const size_t t = k / kTile;
        const float step = half_to_float(d[row]) * static_cast<float>(scale[t][row]);
        const float least = half_to_float(dmin[row]) * static_cast<float>(minimum[t][row]);
        return step * static_cast<float>(codes[t].at(row, k % kTile)) - least;
    }
};

struct HalvesMinimumBlock {  // Q2_K: scale and minimum per half of a tile, in the nibbles of a byte
    using Codes = TwoBits;
    uint16_t d[kStrip], dmin[kStrip];
    uint8_t scale[kBlockTiles][2][kStrip];
    Codes codes[kBlockTiles];

    static constexpr size_t kColumns = kBlock;
    float weight(size_t row, size_t k) const {
        const size_t t = k / kTile;
        const int pair = scale[t][k % kTile / kGroup][row];
        const float step = half_to_float(d[row]) * static_cast<float>(pair & 15);
        const float least = half_to_float(dmin[row]) * static_cast<float>(pair >> 4);
        return step * static_cast<float>(codes[t].at(row, k % kTile)) - least;
    }
};

template <class CodesOf>
struct HalvesBlock {  // Q6_K, Q3_K: scale per half of a tile
    using Codes = CodesOf;
    float d[kStrip];
    int8_t scale[kBlockTiles][2][kStrip];
    Codes codes[kBlockTiles];

    static constexpr size_t kColumns = kBlock;
    float weight(size_t row, size_t k) const {
        const size_t t = k / kTile;
        const float step = d[row] * static_cast<float>(scale[t][k % kTile / kGroup][row]);
        return step * static_cast<float>(codes[t].at(row, k % kTile));
    }
};

struct ScaledBlock {  // IQ4_XS: scale per tile
    using Codes = Levels;
    float d[kStrip];
    int8_t scale[kBlockTiles][kStrip];
    Codes codes[kBlockTiles];

    static constexpr size_t kColumns = kBlock;
    float weight(size_t row, size_t k) const {
        const size_t t = k / kTile;
        const float step = d[row] * static_cast<float>(scale[t][row]);
        return step * static_cast<float>(codes[t].at(row, k % kTile));
    }
};

// By the names that formats have in files; kI8 are the int8 rows of Grok-1's release.
enum class Layout : uint8_t {
    kF32,
    kF16,
    kBF16,
    kQ4_0,
    kQ4_1,
    kQ5_0,
    kQ5_1,
    kQ8_0,
    kI8,
    kIQ4_NL,
    kQ2_K,
    kQ3_K,
    kQ4_K,
    kQ5_K,
    kQ6_K,
    kIQ4_XS
};

constexpr bool is_float(Layout layout) { return layout <= Layout::kBF16; }

struct NoFileBlock {};

// use.template operator()<Tile, FileBlock>() for the tile, or block, of an integer layout and what files have for it.
template <class Use>
decltype(auto) with_tile(Layout layout, Use use) {
    switch (layout) {
        case Layout::kQ4_0: return use.template operator()<OffsetTile<FourBits, 8>, FileQ4_0>();
        case Layout::kQ4_1: return use.template operator()<MinimumTile<FourBits>, FileQ4_1>();
        case Layout::kQ5_0: return use.template operator()<OffsetTile<FiveBits, 16>, FileQ5_0>();
        case Layout::kQ5_1: return use.template operator()<MinimumTile<FiveBits>, FileQ5_1>();
        case Layout::kI8: return use.template operator()<ScaledTile<EightBits, BFloat>, NoFileBlock>();
        case Layout::kIQ4_NL: return use.template operator()<ScaledTile<Levels, Half>, FileQ4_0>();
        case Layout::kQ2_K: return use.template operator()<HalvesMinimumBlock, FileQ2_K>();
        case Layout::kQ3_K: return use.template operator()<HalvesBlock<ThreeBits>, FileQ3_K>();
        case Layout::kQ4_K: return use.template operator()<MinimumBlock<FourBits>, FileQ4_K>();
        case Layout::kQ5_K: return use.template operator()<MinimumBlock<FiveBits>, FileQ5_K>();
        case Layout::kQ6_K: return use.template operator()<HalvesBlock<SixBits>, FileQ6_K>();
        case Layout::kIQ4_XS: return use.template operator()<ScaledBlock, FileIQ4_XS>();
        default: return use.template operator()<ScaledTile<EightBits, Half>, FileQ8_0>();  // Q8_0
    }
}

// What the number of columns has to be a multiple of.
size_t columns_unit(Layout layout);

// Bytes of one row as files hold it.
size_t file_row_bytes(Layout layout, size_t columns);

// Bytes of a packed matrix. Throws std::bad_alloc for more than there could be.
size_t packed_bytes(Layout layout, size_t rows, size_t columns);

// A matrix (rows, columns) in the layout of its kernels. It owns its memory, or reads somebody else's.
class PackedMatrix {
  public:
    // Neither rows nor columns may be zero; columns are a multiple of columns_unit. Values are undefined until filled.
    // Throws std::bad_alloc.
    PackedMatrix(Layout layout, size_t rows, size_t columns);

    // Over packed_bytes of memory, aligned to kCacheLine, that stay as they are for as long as `owner` lives. Such a
    // matrix cannot be filled.
    PackedMatrix(Layout layout, size_t rows, size_t columns, std::shared_ptr<const void> owner,
                 const std::byte* packed);

    // Repacks rows as a file holds them, row after row, from row `first` on. Not for I8. Different rows may be filled
    // by different threads unless they share a strip.
    void fill(size_t first, size_t count, const uint8_t* blocks);

    // Tiles `first` on of all rows of an I8 matrix, from all its codes (columns, rows) and bfloat16 scales (groups,
    // rows), as Grok-1 was released: a group is columns / groups rows of codes, a multiple of kTile. Different tiles
    // may be filled by different threads.
    void fill_transposed(size_t first, size_t count, const int8_t* codes, const uint16_t* scales, size_t groups);

    // Decodes one row to float32.
    void row(size_t index, float* out) const;

    Layout layout() const { return layout_; }
    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }
    size_t strips() const { return (rows_ - 1) / kStrip + 1; }
    size_t strip_bytes() const { return strip_bytes_; }
    size_t bytes() const { return strips() * strip_bytes_; }
    bool can_be_filled() const { return data_ != nullptr; }
    const std::byte* strip(size_t index) const { return packed_ + index * strip_bytes_; }

  private:
    std::byte* strip_of(size_t row) { return data_.get() + row / kStrip * strip_bytes_; }

    struct Free {
        void operator()(std::byte* p) const;
    };
    Layout layout_;
    size_t rows_, columns_, strip_bytes_;
    std::unique_ptr<std::byte[], Free> data_;  // null if the memory is somebody else's:
    std::shared_ptr<const void> owner_;
    const std::byte* packed_;
};

}  // namespace gadfly

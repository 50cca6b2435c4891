// The layouts that kernels multiply with: eight matrix rows side by side, so that one vector holds eight results.
//
// A packed matrix is a sequence of strips of eight rows; a strip is a sequence of tiles of 8 rows × 32 columns (or, for
// float formats, of columns). Rows are padded with zeros to a multiple of eight. k is the column within a tile:
//
//     Int4Tile   codes[j][row][i]: low nibble k = 8j + i, high nibble k = 8j + 4 + i      weight = d · code + m
//     Int8Tile   codes[g][row][i]: k = 4g + i                                             weight = d · code
//     floats     [column][row]
//
// Four neighbouring k of a row share a 32-bit lane because that is what integer dot-product instructions add up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "formats/half.h"

namespace gadfly {

constexpr size_t kStrip = 8;   // rows of a strip
constexpr size_t kTile = 32;   // columns of a tile
constexpr size_t kGroup = 16;  // activations that share a scale

struct Int4Tile {  // Q4_1
    uint16_t d[kStrip], m[kStrip];
    uint8_t codes[4][kStrip][4];
};
struct Int4SymmetricTile {  // Q4_0: m = -8 d
    uint16_t d[kStrip];
    uint8_t codes[4][kStrip][4];
};
template <class Scale>  // Half: Q8_0; BFloat: the int8 rows of Grok-1's release
struct Int8TileOf {
    uint16_t d[kStrip];
    int8_t codes[8][kStrip][4];
};
using Int8Tile = Int8TileOf<Half>;
using Int8BFloatTile = Int8TileOf<BFloat>;

enum class Layout : uint8_t { kFloat32, kFloat16, kBFloat16, kInt4, kInt4Symmetric, kInt8, kInt8BFloat };

constexpr bool is_float(Layout layout) { return layout <= Layout::kBFloat16; }

// Bytes of one row as files hold it.
size_t file_row_bytes(Layout layout, size_t columns);

// Bytes of a packed matrix. Throws std::bad_alloc for more than there could be.
size_t packed_bytes(Layout layout, size_t rows, size_t columns);

// A matrix (rows, columns) in the layout of its kernels. It owns its memory, or reads somebody else's.
class PackedMatrix {
  public:
    // Neither rows nor columns may be zero; integer layouts need columns to be a multiple of kTile. Values are
    // undefined until filled. Throws std::bad_alloc.
    PackedMatrix(Layout layout, size_t rows, size_t columns);

    // Over packed_bytes of memory, aligned to kCacheLine, that stay as they are for as long as `owner` lives. Such a
    // matrix cannot be filled.
    PackedMatrix(Layout layout, size_t rows, size_t columns, std::shared_ptr<const void> owner,
                 const std::byte* packed);

    // Repacks rows as a file holds them (Q4_0, Q4_1, Q8_0 blocks or floats, row after row), from row `first` on. Not
    // for Int8BFloat. Different rows may be filled by different threads.
    void fill(size_t first, size_t count, const uint8_t* blocks);

    // Rounds float rows to an Int8 matrix: one scale per 32 weights, as Q8_0 does.
    void fill_rounded(size_t first, size_t count, const float* values);

    // All of an Int8BFloat matrix from codes (columns, rows) and bfloat16 scales (groups, rows), as Grok-1 was
    // released: a group is columns / groups rows of codes, a multiple of kTile.
    void fill_transposed(const int8_t* codes, const uint16_t* scales, size_t groups);

    // Decodes one row to float32.
    void row(size_t index, float* out) const;

    Layout layout() const { return layout_; }
    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }
    size_t strips() const { return (rows_ - 1) / kStrip + 1; }
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

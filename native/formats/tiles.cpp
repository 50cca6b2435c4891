#include "formats/tiles.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "formats/blocks.h"
#include "formats/half.h"
#include "formats/size.h"

namespace gadfly {
namespace {

template <class FileBlock>
FileBlock read_block(const uint8_t* p) {  // blocks are packed, hence unaligned
    FileBlock block;
    std::memcpy(&block, p, sizeof block);
    return block;
}

int nibble(const uint8_t (&codes)[16], size_t k) { return k < 16 ? codes[k] & 15 : codes[k - 16] >> 4; }

void put_nibbles(uint8_t (&tile)[4][kStrip][4], size_t lane, const uint8_t (&file)[16]) {
    for (size_t j = 0; j < 4; j++) {
        for (size_t i = 0; i < 4; i++) {
            const int low = nibble(file, 8 * j + i), high = nibble(file, 8 * j + 4 + i);
            tile[j][lane][i] = static_cast<uint8_t>(low | high << 4);
        }
    }
}

int get_nibble(const uint8_t (&tile)[4][kStrip][4], size_t lane, size_t k) {
    const int pair = tile[k / 8][lane][k % 4];
    return k % 8 < 4 ? pair & 15 : pair >> 4;
}

void put(Int4Tile& tile, size_t lane, const FileQ4_1& block) {
    tile.d[lane] = block.d;
    tile.m[lane] = block.m;
    put_nibbles(tile.codes, lane, block.codes);
}

void put(Int4SymmetricTile& tile, size_t lane, const FileQ4_0& block) {
    tile.d[lane] = block.d;
    put_nibbles(tile.codes, lane, block.codes);
}

void put(Int8Tile& tile, size_t lane, const FileQ8_0& block) {
    tile.d[lane] = block.d;
    for (size_t k = 0; k < kTile; k++) tile.codes[k / 4][lane][k % 4] = block.codes[k];
}

// A block with a weight that is infinite or no number becomes NaN throughout, as its products would be.
FileQ8_0 round_block(const float* x) {
    float largest = 0;
    bool finite = true;
    for (size_t k = 0; k < kTile; k++) {
        largest = std::max(largest, std::fabs(x[k]));
        finite = finite && std::isfinite(x[k]);
    }
    FileQ8_0 block{};
    block.d = float_to_half(finite ? largest / 127.0F : NAN);
    const float d = half_to_float(block.d);
    if (!(d > 0 && std::isfinite(d))) return block;
    for (size_t k = 0; k < kTile; k++) {
        block.codes[k] = static_cast<int8_t>(std::clamp(std::nearbyint(x[k] / d), -127.0F, 127.0F));
    }
    return block;
}

template <size_t kBytes>
void put_floats(std::byte* strip, size_t lane, const uint8_t* row, size_t columns) {
    for (size_t k = 0; k < columns; k++) std::memcpy(strip + (k * kStrip + lane) * kBytes, row + k * kBytes, kBytes);
}

template <class Tile, class FileBlock>
void put_blocks(std::byte* strip, size_t lane, const uint8_t* row, size_t columns) {
    for (size_t b = 0; b < columns / kTile; b++) {
        put(reinterpret_cast<Tile*>(strip)[b], lane, read_block<FileBlock>(row + b * sizeof(FileBlock)));
    }
}

// Puts a row as a file holds it into its strip.
void put_row(Layout layout, std::byte* strip, size_t lane, const uint8_t* row, size_t columns) {
    switch (layout) {
        case Layout::kFloat32: return put_floats<4>(strip, lane, row, columns);
        case Layout::kFloat16: return put_floats<2>(strip, lane, row, columns);
        case Layout::kBFloat16: return put_floats<2>(strip, lane, row, columns);
        case Layout::kInt4: return put_blocks<Int4Tile, FileQ4_1>(strip, lane, row, columns);
        case Layout::kInt4Symmetric: return put_blocks<Int4SymmetricTile, FileQ4_0>(strip, lane, row, columns);
        case Layout::kInt8BFloat: return;  // files hold it transposed: see fill_transposed
        case Layout::kInt8: return put_blocks<Int8Tile, FileQ8_0>(strip, lane, row, columns);
    }
}

size_t element_bytes(Layout layout) { return layout == Layout::kFloat32 ? 4 : 2; }

size_t tile_bytes(Layout layout) {
    switch (layout) {
        case Layout::kInt4: return sizeof(Int4Tile);
        case Layout::kInt4Symmetric: return sizeof(Int4SymmetricTile);
        default: return sizeof(Int8Tile);
    }
}

size_t strip_bytes(Layout layout, size_t columns) {
    if (is_float(layout)) return product({columns, kStrip, element_bytes(layout)});
    return product({columns / kTile, tile_bytes(layout)});
}

}  // namespace

size_t file_row_bytes(Layout layout, size_t columns) {
    if (is_float(layout)) return columns * element_bytes(layout);
    const size_t blocks = columns / kTile;
    switch (layout) {
        case Layout::kInt4: return blocks * sizeof(FileQ4_1);
        case Layout::kInt4Symmetric: return blocks * sizeof(FileQ4_0);
        default: return blocks * sizeof(FileQ8_0);
    }
}

void PackedMatrix::Free::operator()(std::byte* p) const { std::free(p); }

size_t packed_bytes(Layout layout, size_t rows, size_t columns) {
    return product({(rows - 1) / kStrip + 1, strip_bytes(layout, columns)});
}

PackedMatrix::PackedMatrix(Layout layout, size_t rows, size_t columns)
    : layout_(layout), rows_(rows), columns_(columns), strip_bytes_(strip_bytes(layout, columns)) {
    const size_t size = whole_lines(product({strips(), strip_bytes_}));
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kCacheLine, size)));
    if (!data_) throw std::bad_alloc();
    if (rows % kStrip != 0) std::memset(data_.get() + (strips() - 1) * strip_bytes_, 0, strip_bytes_);
    packed_ = data_.get();
}

PackedMatrix::PackedMatrix(Layout layout, size_t rows, size_t columns, std::shared_ptr<const void> owner,
                           const std::byte* packed)
    : layout_(layout),
      rows_(rows),
      columns_(columns),
      strip_bytes_(strip_bytes(layout, columns)),
      owner_(std::move(owner)),
      packed_(packed) {}

void PackedMatrix::fill(size_t first, size_t count, const uint8_t* blocks) {
    const size_t row_bytes = file_row_bytes(layout_, columns_);
    for (size_t row = first; row < first + count; row++, blocks += row_bytes) {
        put_row(layout_, strip_of(row), row % kStrip, blocks, columns_);
    }
}

void PackedMatrix::fill_rounded(size_t first, size_t count, const float* values) {
    for (size_t row = first; row < first + count; row++, values += columns_) {
        auto* tiles = reinterpret_cast<Int8Tile*>(strip_of(row));
        for (size_t b = 0; b < columns_ / kTile; b++) put(tiles[b], row % kStrip, round_block(values + b * kTile));
    }
}

void PackedMatrix::fill_transposed(const int8_t* codes, const uint16_t* scales, size_t groups) {
    const size_t group = columns_ / groups;
    for (size_t b = 0; b < columns_ / kTile; b++, codes += kTile * rows_) {
        for (size_t row = 0; row < rows_; row++) {
            auto& tile = reinterpret_cast<Int8BFloatTile*>(strip_of(row))[b];
            tile.d[row % kStrip] = scales[b * kTile / group * rows_ + row];
            for (size_t k = 0; k < kTile; k++) tile.codes[k / 4][row % kStrip][k % 4] = codes[k * rows_ + row];
        }
    }
}

void PackedMatrix::row(size_t index, float* out) const {
    const size_t lane = index % kStrip;
    const std::byte* strip = this->strip(index / kStrip);
    for (size_t k = 0; k < columns_; k++) {
        const size_t b = k / kTile, i = k % kTile;
        switch (layout_) {
            case Layout::kFloat32: out[k] = reinterpret_cast<const float*>(strip)[k * kStrip + lane]; break;
            case Layout::kFloat16:
                out[k] = half_to_float(reinterpret_cast<const uint16_t*>(strip)[k * kStrip + lane]);
                break;
            case Layout::kBFloat16:
                out[k] =
                    std::bit_cast<float>(uint32_t{reinterpret_cast<const uint16_t*>(strip)[k * kStrip + lane]} << 16);
                break;
            case Layout::kInt4: {
                const auto& tile = reinterpret_cast<const Int4Tile*>(strip)[b];
                const auto code = static_cast<float>(get_nibble(tile.codes, lane, i));
                out[k] = half_to_float(tile.d[lane]) * code + half_to_float(tile.m[lane]);
                break;
            }
            case Layout::kInt4Symmetric: {
                const auto& tile = reinterpret_cast<const Int4SymmetricTile*>(strip)[b];
                out[k] = half_to_float(tile.d[lane]) * static_cast<float>(get_nibble(tile.codes, lane, i) - 8);
                break;
            }
            case Layout::kInt8BFloat: {
                const auto& tile = reinterpret_cast<const Int8BFloatTile*>(strip)[b];
                const float d = std::bit_cast<float>(uint32_t{tile.d[lane]} << 16);
                out[k] = d * static_cast<float>(tile.codes[i / 4][lane][i % 4]);
                break;
            }
            case Layout::kInt8: {
                const auto& tile = reinterpret_cast<const Int8Tile*>(strip)[b];
                out[k] = half_to_float(tile.d[lane]) * static_cast<float>(tile.codes[i / 4][lane][i % 4]);
                break;
            }
        }
    }
}

}  // namespace gadfly

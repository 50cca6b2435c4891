#include "formats/tiles.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "formats/blocks.h"
#include "formats/half.h"
#include "formats/repack.h"
#include "formats/size.h"

namespace gadfly {
namespace {

template <class FileBlock>
FileBlock read_block(const uint8_t* p) {  // blocks are packed, hence unaligned
    FileBlock block;
    std::memcpy(&block, p, sizeof block);
    return block;
}

template <size_t kBytes>
void put_floats(std::byte* strip, size_t lane, const uint8_t* row, size_t columns) {
    for (size_t k = 0; k < columns; k++) std::memcpy(strip + (k * kStrip + lane) * kBytes, row + k * kBytes, kBytes);
}

// Puts a row as a file holds it into its strip.
void put_row(Layout layout, std::byte* strip, size_t lane, const uint8_t* row, size_t columns) {
    if (layout == Layout::kF32) return put_floats<4>(strip, lane, row, columns);
    if (is_float(layout)) return put_floats<2>(strip, lane, row, columns);
    with_tile(layout, [=]<class Tile, class FileBlock>() {
        auto* tiles = reinterpret_cast<Tile*>(strip);
        for (size_t b = 0; b < columns / Tile::kColumns; b++) {
            put(tiles[b], lane, read_block<FileBlock>(row + b * sizeof(FileBlock)));
        }
    });
}

size_t element_bytes(Layout layout) { return layout == Layout::kF32 ? 4 : 2; }

size_t bytes_of_strip(Layout layout, size_t columns) {
    if (is_float(layout)) return product({columns, kStrip, element_bytes(layout)});
    return with_tile(layout,
                     [=]<class Tile, class FileBlock>() { return product({columns / Tile::kColumns, sizeof(Tile)}); });
}

}  // namespace

size_t columns_unit(Layout layout) {
    return is_float(layout) ? 1 : with_tile(layout, []<class Tile, class FileBlock>() { return Tile::kColumns; });
}

size_t file_row_bytes(Layout layout, size_t columns) {
    if (is_float(layout)) return columns * element_bytes(layout);
    return with_tile(layout,
                     [=]<class Tile, class FileBlock>() { return columns / Tile::kColumns * sizeof(FileBlock); });
}

void PackedMatrix::Free::operator()(std::byte* p) const { std::free(p); }

size_t packed_bytes(Layout layout, size_t rows, size_t columns) {
    return product({(rows - 1) / kStrip + 1, bytes_of_strip(layout, columns)});
}

PackedMatrix::PackedMatrix(Layout layout, size_t rows, size_t columns)
    : layout_(layout), rows_(rows), columns_(columns), strip_bytes_(bytes_of_strip(layout, columns)) {
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
      strip_bytes_(bytes_of_strip(layout, columns)),
      owner_(std::move(owner)),
      packed_(packed) {}

void pack_rows(Layout layout, size_t columns, size_t first, size_t count, const uint8_t* blocks, std::byte* packed) {
    const size_t row_bytes = file_row_bytes(layout, columns), strip_bytes = bytes_of_strip(layout, columns);
    for (size_t row = first; row < first + count; row++, blocks += row_bytes) {
        put_row(layout, packed + row / kStrip * strip_bytes, row % kStrip, blocks, columns);
    }
}

void PackedMatrix::fill(size_t first, size_t count, const uint8_t* blocks) {
    pack_rows(layout_, columns_, first, count, blocks, data_.get());
}

void PackedMatrix::fill_transposed(size_t first, size_t count, const int8_t* codes, const uint16_t* scales,
                                   size_t groups) {
    const size_t group = columns_ / groups;
    codes += first * kTile * rows_;
    for (size_t b = first; b < first + count; b++, codes += kTile * rows_) {
        for (size_t row = 0; row < rows_; row++) {
            auto& tile = reinterpret_cast<ScaledTile<EightBits, BFloat>*>(strip_of(row))[b];
            tile.d[row % kStrip] = scales[b * kTile / group * rows_ + row];
            for (size_t k = 0; k < kTile; k++) tile.codes.bytes[k / 4][row % kStrip][k % 4] = codes[k * rows_ + row];
        }
    }
}

void PackedMatrix::row(size_t index, float* out) const {
    const size_t lane = index % kStrip;
    const std::byte* strip = this->strip(index / kStrip);
    if (layout_ == Layout::kF32) {
        for (size_t k = 0; k < columns_; k++) out[k] = reinterpret_cast<const float*>(strip)[k * kStrip + lane];
    } else if (is_float(layout_)) {
        for (size_t k = 0; k < columns_; k++) {
            const uint16_t bits = reinterpret_cast<const uint16_t*>(strip)[k * kStrip + lane];
            out[k] = layout_ == Layout::kF16 ? to_float(bits, Half{}) : to_float(bits, BFloat{});
        }
    } else {
        with_tile(layout_, [&]<class Tile, class FileBlock>() {
            for (size_t k = 0; k < columns_; k++) {
                out[k] = reinterpret_cast<const Tile*>(strip)[k / Tile::kColumns].weight(lane, k % Tile::kColumns);
            }
        });
    }
}

}  // namespace gadfly

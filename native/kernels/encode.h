// A tile of a matrix, wherever it comes from, into a format: read as floats, then row by row into blocks.
//
// No more than a tile is ever held as floats. How a block's numbers are found is in the encode_*.h beside this file.
#pragma once

#include <algorithm>

#include "kernels/encode_blocks.h"
#include "kernels/kernels.h"

namespace gadfly {
namespace {

// Rows of the tile end to end, kEncodeColumns apart.
inline void read_floats(const EncodeTask& task) {
    for (size_t row = 0; row < task.rows; row++) {
        const size_t first = (task.first_row + row) * task.matrix_columns + task.first_column;
        const std::byte* from = task.weights + first * source_bytes(task.source);
        float* to = task.scratch + row * kEncodeColumns;
        if (task.source == Source::kFloat32) {
            std::memcpy(to, from, task.columns * 4);
            continue;
        }
        const auto* words = reinterpret_cast<const uint16_t*>(from);
        const size_t whole = task.columns / kLanes * kLanes;
        for (size_t k = 0; k < whole; k += kLanes) {
            store(to + k, task.source == Source::kFloat16 ? load(words + k, Half{}) : load(words + k, BFloat{}));
        }
        for (size_t k = whole; k < task.columns; k++) {
            to[k] = task.source == Source::kFloat16 ? half_to_float(words[k])
                                                    : std::bit_cast<float>(uint32_t{words[k]} << 16);
        }
    }
}

// Weights of Grok-1's release stand on their side. They are exact floats: code and scale have 16 significant bits.
inline void read_int8(const EncodeTask& task) {
    const auto* codes = reinterpret_cast<const int8_t*>(task.weights);
    const auto at = [&](size_t row, size_t k) {
        const size_t column = task.first_column + k, lane = task.first_row + row;
        const uint16_t scale = task.scales[column / task.columns_in_group * task.matrix_rows + lane];
        return static_cast<float>(codes[column * task.matrix_rows + lane]) *
               std::bit_cast<float>(uint32_t{scale} << 16);
    };
    const size_t whole_rows = task.rows / kLanes * kLanes, whole_columns = task.columns / kLanes * kLanes;
    for (size_t k = 0; k < whole_columns; k += kLanes) {
        const size_t column = task.first_column + k;
        const uint16_t* scales = task.scales + column / task.columns_in_group * task.matrix_rows + task.first_row;
        for (size_t row = 0; row < whole_rows; row += kLanes) {
            const f32x8 scale = load(scales + row, BFloat{});
            f32x8 tile[kLanes];
            for (size_t i = 0; i < kLanes; i++) {
                tile[i] = mul(load(codes + (column + i) * task.matrix_rows + task.first_row + row), scale);
            }
            transpose(tile);
            for (size_t i = 0; i < kLanes; i++) store(task.scratch + (row + i) * kEncodeColumns + k, tile[i]);
        }
    }
    for (size_t row = 0; row < task.rows; row++) {
        for (size_t k = row < whole_rows ? whole_columns : 0; k < task.columns; k++) {
            task.scratch[row * kEncodeColumns + k] = at(row, k);
        }
    }
}

inline bool write_halves(const float* x, size_t count, uint8_t* out) {
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = float_to_half(x[i]);
        fits = fits && (is_finite_half(half) || !std::isfinite(x[i]));
        std::memcpy(out + 2 * i, &half, 2);
    }
    return fits;
}

inline bool write_bfloats(const float* x, size_t count, uint8_t* out) {
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        const auto bits = std::bit_cast<uint32_t>(x[i]);
        const uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16, quiet = bits >> 16 | 0x40U;
        const auto word = static_cast<uint16_t>(std::isnan(x[i]) ? quiet : rounded);
        fits = fits && ((word & 0x7F80U) != 0x7F80U || !std::isfinite(x[i]));
        std::memcpy(out + 2 * i, &word, 2);
    }
    return fits;
}

inline bool encode_row(const EncodeTask& task, float* x, uint8_t* out) {
    switch (task.format) {
        case Format::kF32: std::memcpy(out, x, task.columns * 4); return true;
        case Format::kF16: return write_halves(x, task.columns, out);
        case Format::kBF16: return write_bfloats(x, task.columns, out);
        default: break;
    }
    const float* importance = task.importance ? task.importance + task.first_column : nullptr;
    float padded[kChunk];
    if (task.columns < kChunk) {
        std::fill(x + task.columns, x + kChunk, 0.0F);
        if (importance) {
            std::fill(std::copy(importance, importance + task.columns, padded), padded + kChunk, 1.0F);
            importance = padded;
        }
    }
    return all_fit(x) && write_chunk(task.format, x, importance, task.columns, out);
}

inline bool encode(const EncodeTask& task) {
    if (task.source == Source::kInt8) {
        read_int8(task);
    } else {
        read_floats(task);
    }
    const BlockSize block = block_size(task.format);
    for (size_t row = 0; row < task.rows; row++) {
        uint8_t* out = task.out + row * task.row_bytes;
        if (!encode_row(task, task.scratch + row * kEncodeColumns,
                        out + task.first_column / block.weights * block.bytes)) {
            return false;
        }
    }
    return true;
}

}  // namespace
}  // namespace gadfly

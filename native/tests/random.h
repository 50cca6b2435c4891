// Random inputs for kernels, the same in every run: numbers like those of models, any bits at all, matrices, half
// floats.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "formats/tiles.h"

namespace gadfly {

class Random {
  public:
    explicit Random(uint32_t seed) : bits_(seed) {}

    uint32_t bits() { return static_cast<uint32_t>(bits_()); }
    size_t below(size_t end) { return bits() % end; }

    template <class Integer>
    std::vector<Integer> integers(size_t count) {
        std::vector<Integer> made(count);
        for (Integer& one : made) one = static_cast<Integer>(bits());
        return made;
    }

    // From -size to size, and now and then a thousandth of that.
    float number(float size = 1.0F) {
        const float one = static_cast<float>(static_cast<int32_t>(bits())) * 0x1p-31F * size;
        return below(16) == 0 ? one * 1e-3F : one;
    }
    std::vector<float> numbers(size_t count, float size = 1.0F) {
        std::vector<float> made(count);
        for (float& one : made) one = number(size);
        return made;
    }

    // Any floats: subnormal, infinite, no number.
    std::vector<float> any_floats(size_t count) {
        std::vector<float> made(count);
        for (float& one : made) one = std::bit_cast<float>(bits());
        return made;
    }

    uint16_t half() { return static_cast<uint16_t>(bits() & 0xBFFFU); }  // less than 2, subnormal ones among them
    uint16_t bfloat() { return static_cast<uint16_t>(std::bit_cast<uint32_t>(number()) >> 16); }

    // All codes that the layout has, under finite scales.
    PackedMatrix matrix(Layout layout, size_t rows, size_t columns) {
        PackedMatrix made(layout, rows, columns);
        if (layout == Layout::kI8) {
            std::vector<uint16_t> scales(columns / kTile * rows);
            for (uint16_t& scale : scales) scale = bfloat();
            made.fill_transposed(0, columns / kTile, integers<int8_t>(rows * columns).data(), scales.data(),
                                 columns / kTile);
            return made;
        }
        std::vector<uint8_t> file(rows * file_row_bytes(layout, columns));
        switch (layout) {
            case Layout::kF32: put(file, [&] { return number(); }); break;
            case Layout::kF16: put(file, [&] { return half(); }); break;
            case Layout::kBF16: put(file, [&] { return bfloat(); }); break;
            default:
                with_tile(layout,
                          [&]<class Tile, class FileBlock>() { put(file, [&] { return block<FileBlock>(); }); });
        }
        made.fill(0, rows, file.data());
        return made;
    }

  private:
    template <class Next>
    static void put(std::vector<uint8_t>& file, Next next) {
        for (size_t at = 0; at < file.size();) {
            const auto one = next();
            std::memcpy(file.data() + at, &one, sizeof one);
            at += sizeof one;
        }
    }

    template <class FileBlock>
    FileBlock block() {
        FileBlock made;
        const auto bytes = integers<uint8_t>(sizeof made);
        std::memcpy(&made, bytes.data(), sizeof made);
        if constexpr (requires { made.d; }) made.d = half();
        if constexpr (requires { made.m; }) made.m = half();
        if constexpr (requires { made.dmin; }) made.dmin = half();
        return made;
    }

    std::mt19937 bits_;
};

}  // namespace gadfly

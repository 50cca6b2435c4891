// Codes and numbers of 256 weights into the bytes of a block, as gadfly/quant/layouts.py draws them. Only integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/blocks.h"

namespace gadfly {
namespace {

template <class FileBlock>
void write_block(const FileBlock& block, uint8_t* out) {
    std::memcpy(out, &block, sizeof block);
}

inline uint8_t byte(int bits) { return static_cast<uint8_t>(bits); }

// `size` bytes, each of two codes' low nibbles: those at i and i + size.
template <size_t size>
void pack_nibbles(const int8_t* codes, uint8_t* out) {
    for (size_t i = 0; i < size; i++) out[i] = byte((codes[i] & 15) | (codes[i + size] & 15) << 4);
}

// Two bits of each of 256 codes, from bit `shift` on: four codes that are 32 apart share a byte.
template <int shift>
void pack_pairs(const int8_t* codes, uint8_t* out) {
    for (size_t half = 0; half < 2; half++, codes += 128, out += 32) {
        for (size_t i = 0; i < 32; i++) {
            const auto two = [&](size_t k) { return codes[k + i] >> shift & 3; };
            out[i] = byte(two(0) | two(32) << 2 | two(64) << 4 | two(96) << 6);
        }
    }
}

// Bit `shift` of each of 256 codes: eight codes that are 32 apart share a byte.
template <int shift>
void pack_bits(const int8_t* codes, uint8_t* out) {
    for (size_t i = 0; i < 32; i++) {
        int bits = 0;
        for (size_t k = 0; k < 8; k++) bits |= (codes[32 * k + i] >> shift & 1) << k;
        out[i] = byte(bits);
    }
}

// Bit 4 of 32 codes in a row. Of eight bytes of 0 or 1, the product's highest byte has them as bits, in their order.
inline void pack_fifth_bits(const int8_t* codes, uint8_t (&out)[4]) {
    for (size_t i = 0; i < 4; i++) {
        uint64_t eight;
        std::memcpy(&eight, codes + 8 * i, 8);
        out[i] = static_cast<uint8_t>((eight >> 4 & 0x0101010101010101U) * 0x0102040810204080U >> 56);
    }
}

// Eight scales and eight minima of six bits, as Q4_K and Q5_K hold them.
inline void pack_six_bits(const int8_t* scale, const int8_t* minimum, uint8_t (&out)[12]) {
    for (size_t i = 0; i < 4; i++) {
        out[i] = byte(scale[i] | scale[i + 4] >> 4 << 6);
        out[i + 4] = byte(minimum[i] | minimum[i + 4] >> 4 << 6);
        out[i + 8] = byte((scale[i + 4] & 15) | (minimum[i + 4] & 15) << 4);
    }
}

// Sixteen scales from −32 to 31, as Q3_K holds them.
inline void pack_q3_scales(const int8_t* scale, uint8_t (&out)[12]) {
    const auto six = [&](size_t i) { return scale[i] + 32; };
    for (size_t i = 0; i < 8; i++) out[i] = byte((six(i) & 15) | (six(i + 8) & 15) << 4);
    for (size_t i = 0; i < 4; i++) {
        out[i + 8] = byte(six(i) >> 4 | six(i + 4) >> 4 << 2 | six(i + 8) >> 4 << 4 | six(i + 12) >> 4 << 6);
    }
}

// Eight scales from −32 to 31, as IQ4_XS holds them.
inline void pack_iq4_scales(const int8_t* scale, FileIQ4_XS& block) {
    int high = 0;
    for (size_t i = 0; i < 8; i++) high |= (scale[i] + 32) >> 4 << 2 * i;
    block.scales_high = static_cast<uint16_t>(high);
    for (size_t i = 0; i < 4; i++) {
        block.scales_low[i] = byte(((scale[2 * i] + 32) & 15) | ((scale[2 * i + 1] + 32) & 15) << 4);
    }
}

}  // namespace
}  // namespace gadfly

// Blocks as files hold them into tiles and blocks as kernels multiply with them: put(tile, row, block) for each format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/blocks.h"
#include "formats/tiles.h"

namespace gadfly {

// Code k of those that are packed `bits` each: of every `group` bytes first all the lowest bits, then all the next.
template <int bits, size_t group>
int unpack(const uint8_t* packed, size_t k) {
    constexpr size_t kPerByte = 8 / bits, kCodes = group * kPerByte;
    const int byte = packed[k / kCodes * group + k % group];
    return byte >> (bits * static_cast<int>(k % kCodes / group)) & ((1 << bits) - 1);
}

template <class Block>
int five_bits(const Block& block, size_t k) {
    return unpack<4, 16>(block.codes, k) | unpack<1, 1>(block.high, k) << 4;
}

inline void put(MinimumTile<FourBits>& tile, size_t row, const FileQ4_1& block) {
    tile.d[row] = block.d;
    tile.m[row] = block.m;
    tile.codes.put(row, [&](size_t k) { return unpack<4, 16>(block.codes, k); });
}

inline void put(OffsetTile<FourBits, 8>& tile, size_t row, const FileQ4_0& block) {
    tile.d[row] = block.d;
    tile.codes.put(row, [&](size_t k) { return unpack<4, 16>(block.codes, k); });
}

inline void put(MinimumTile<FiveBits>& tile, size_t row, const FileQ5_1& block) {
    tile.d[row] = block.d;
    tile.m[row] = block.m;
    tile.codes.put(row, [&](size_t k) { return five_bits(block, k); });
}

inline void put(OffsetTile<FiveBits, 16>& tile, size_t row, const FileQ5_0& block) {
    tile.d[row] = block.d;
    tile.codes.put(row, [&](size_t k) { return five_bits(block, k); });
}

inline void put(ScaledTile<EightBits, Half>& tile, size_t row, const FileQ8_0& block) {
    tile.d[row] = block.d;
    tile.codes.put(row, [&](size_t k) { return block.codes[k]; });
}

inline void put(ScaledTile<EightBits, BFloat>&, size_t, const NoFileBlock&) {}  // see PackedMatrix::fill_transposed

inline void put(ScaledTile<Levels, Half>& tile, size_t row, const FileQ4_0& block) {
    tile.d[row] = block.d;
    tile.codes.put(row, [&](size_t k) { return unpack<4, 16>(block.codes, k); });
}

// Codes of a block, tile by tile.
template <class Block, class Code>
void put_codes(Block& packed, size_t row, Code code) {
    for (size_t t = 0; t < kBlockTiles; t++) {
        packed.codes[t].put(row, [&](size_t k) { return code(t * kTile + k); });
    }
}

// Eight scales and eight minima of six bits.
template <class Block>
void put_six_bits(Block& packed, size_t row, const uint8_t (&scales)[12]) {
    for (size_t i = 0; i < 4; i++) {
        packed.scale[i][row] = scales[i] & 63;
        packed.minimum[i][row] = scales[i + 4] & 63;
        packed.scale[i + 4][row] = static_cast<uint8_t>((scales[i + 8] & 15) | (scales[i] >> 6 << 4));
        packed.minimum[i + 4][row] = static_cast<uint8_t>(scales[i + 8] >> 4 | scales[i + 4] >> 6 << 4);
    }
}

inline void put(MinimumBlock<FourBits>& packed, size_t row, const FileQ4_K& block) {
    packed.d[row] = block.d;
    packed.dmin[row] = block.dmin;
    put_six_bits(packed, row, block.scales);
    put_codes(packed, row, [&](size_t k) { return unpack<4, 32>(block.codes, k); });
}

inline void put(MinimumBlock<FiveBits>& packed, size_t row, const FileQ5_K& block) {
    packed.d[row] = block.d;
    packed.dmin[row] = block.dmin;
    put_six_bits(packed, row, block.scales);
    put_codes(packed, row, [&](size_t k) { return unpack<4, 32>(block.codes, k) | unpack<1, 32>(block.high, k) << 4; });
}

inline void put(HalvesBlock<SixBits>& packed, size_t row, const FileQ6_K& block) {
    packed.d[row] = half_to_float(block.d);
    for (size_t i = 0; i < 16; i++) packed.scale[i / 2][i % 2][row] = block.scales[i];
    put_codes(packed, row, [&](size_t k) { return unpack<4, 64>(block.codes, k) | unpack<2, 32>(block.high, k) << 4; });
}

inline void put(HalvesBlock<ThreeBits>& packed, size_t row, const FileQ3_K& block) {
    packed.d[row] = half_to_float(block.d) / 8;  // codes are eight times as large
    for (size_t i = 0; i < 16; i++) {
        const int low = unpack<4, 8>(block.scales, i), high = unpack<2, 4>(block.scales + 8, i);
        packed.scale[i / 2][i % 2][row] = static_cast<int8_t>((low | high << 4) - 32);
    }
    put_codes(packed, row, [&](size_t k) { return unpack<2, 32>(block.codes, k) | unpack<1, 32>(block.high, k) << 2; });
}

inline void put(HalvesMinimumBlock& packed, size_t row, const FileQ2_K& block) {
    packed.d[row] = block.d;
    packed.dmin[row] = block.dmin;
    for (size_t i = 0; i < 16; i++) packed.scale[i / 2][i % 2][row] = block.scales[i];
    put_codes(packed, row, [&](size_t k) { return unpack<2, 32>(block.codes, k); });
}

inline void put(ScaledBlock& packed, size_t row, const FileIQ4_XS& block) {
    packed.d[row] = half_to_float(block.d);
    for (size_t t = 0; t < kBlockTiles; t++) {
        const int low = unpack<4, 1>(block.scales_low, t), high = block.scales_high >> 2 * t & 3;
        packed.scale[t][row] = static_cast<int8_t>((low | high << 4) - 32);
    }
    put_codes(packed, row, [&](size_t k) { return unpack<4, 16>(block.codes, k); });
}

// Rows as a file holds them, row after row, into the bytes of a packed matrix, from its row `first` on. Not for I8.
void pack_rows(Layout layout, size_t columns, size_t first, size_t count, const uint8_t* blocks, std::byte* packed);

}  // namespace gadfly

// How the codes of a tile, 8 rows × 32 columns of a matrix, are packed: one struct per number of bits and meaning.
//
// Four neighbouring columns of a row are a group, and lie in a 32-bit lane, because that is what integer dot-product
// instructions add up. Columns are groups g = k / 4 of the tile; a plane holds some bits of all codes, 32 bytes of
// eight rows at a time, and in each byte the bits of as many groups as fit, the first one lowest.
//
// All structs have: `at(row, k)`, what multiplies an activation; `put(row, code)`, with code(k) as files hold it; and
// `range`, which tells kernels how many products 16 bits can hold.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gadfly {

constexpr size_t kStrip = 8;  // rows of a strip
constexpr size_t kTile = 32;  // columns of a tile

enum class Range : uint8_t {
    kSmall,    // from 0 to 31
    kCentred,  // from -32 to 31, stored as 32 more
    kInt8,     // from -127 to 127, and -128 as it is multiplied by at most 127
    kRaised,   // the same, stored as 128 more: only as kernels unpack codes
};

template <int bits>
struct Plane {
    uint8_t bytes[bits][kStrip][4];

    static constexpr int kGroups = 8 / bits;  // that share a byte
    static constexpr size_t byte_of(size_t g) { return g / kGroups; }
    static constexpr int shift_of(size_t g) { return bits * static_cast<int>(g % kGroups); }
    static constexpr int kMask = (1 << bits) - 1;

    int at(size_t row, size_t k) const { return bytes[byte_of(k / 4)][row][k % 4] >> shift_of(k / 4) & kMask; }

    template <class Code>
    void put(size_t row, Code code) {
        for (size_t j = 0; j < bits; j++) {
            for (size_t i = 0; i < 4; i++) {
                int byte = 0;
                for (size_t g = j * kGroups; g < (j + 1) * kGroups; g++) {
                    byte |= (code(4 * g + i) & kMask) << shift_of(g);
                }
                bytes[j][row][i] = static_cast<uint8_t>(byte);
            }
        }
    }
};

struct TwoBits {
    Plane<2> low;

    static constexpr Range range = Range::kSmall;
    int at(size_t row, size_t k) const { return low.at(row, k); }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
    }
};

struct ThreeBits {  // of which 4 is taken off, times 8
    Plane<2> low;
    Plane<1> high;

    static constexpr Range range = Range::kCentred;
    int at(size_t row, size_t k) const { return 8 * (low.at(row, k) | high.at(row, k) << 2) - 32; }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
        high.put(row, [=](size_t k) { return code(k) >> 2; });
    }
};

struct FourBits {
    Plane<4> low;

    static constexpr Range range = Range::kSmall;
    int at(size_t row, size_t k) const { return low.at(row, k); }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
    }
};

struct FiveBits {
    Plane<4> low;
    Plane<1> high;

    static constexpr Range range = Range::kSmall;
    int at(size_t row, size_t k) const { return low.at(row, k) | high.at(row, k) << 4; }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
        high.put(row, [=](size_t k) { return code(k) >> 4; });
    }
};

struct SixBits {  // of which 32 is taken off
    Plane<4> low;
    Plane<2> high;

    static constexpr Range range = Range::kCentred;
    int at(size_t row, size_t k) const { return (low.at(row, k) | high.at(row, k) << 4) - 32; }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
        high.put(row, [=](size_t k) { return code(k) >> 4; });
    }
};

// Sixteen levels spaced for weights that are roughly normally distributed: those of IQ4_NL and IQ4_XS.
constexpr int8_t kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct Levels {
    Plane<4> low;

    static constexpr Range range = Range::kInt8;
    int at(size_t row, size_t k) const { return kLevels[low.at(row, k)]; }
    template <class Code>
    void put(size_t row, Code code) {
        low.put(row, code);
    }
};

struct EightBits {
    int8_t bytes[8][kStrip][4];

    static constexpr Range range = Range::kInt8;
    int at(size_t row, size_t k) const { return bytes[k / 4][row][k % 4]; }
    template <class Code>
    void put(size_t row, Code code) {
        for (size_t k = 0; k < kTile; k++) bytes[k / 4][row][k % 4] = static_cast<int8_t>(code(k));
    }
};

}  // namespace gadfly

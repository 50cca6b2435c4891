// Blocks as files hold them, and the formats by name. What their bytes mean is drawn in gadfly/quant/layouts.py.
//
// Blocks lie end to end and may be unaligned: read and write them by memcpy.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gadfly {

enum class Format : uint8_t {
    kF32,
    kF16,
    kBF16,
    kQ4_0,
    kQ4_1,
    kQ5_0,
    kQ5_1,
    kQ8_0,
    kQ2_K,
    kQ3_K,
    kQ4_K,
    kQ5_K,
    kQ6_K,
    kIQ4_NL,
    kIQ4_XS
};

// 32 weights. Nibbles: low halves of the bytes are weights 0–15, high halves 16–31.
struct FileQ4_0 {  // IQ4_NL too
    uint16_t d;
    uint8_t codes[16];
};
struct FileQ4_1 {
    uint16_t d, m;
    uint8_t codes[16];
};
struct FileQ5_0 {
    uint16_t d;
    uint8_t high[4], codes[16];
};
struct FileQ5_1 {
    uint16_t d, m;
    uint8_t high[4], codes[16];
};
struct FileQ8_0 {
    uint16_t d;
    int8_t codes[32];
};

// 256 weights, in groups of 16 or 32 that have small integers for scales.
struct FileQ2_K {
    uint8_t scales[16], codes[64];
    uint16_t d, dmin;
};
struct FileQ3_K {
    uint8_t high[32], codes[64], scales[12];
    uint16_t d;
};
struct FileQ4_K {
    uint16_t d, dmin;
    uint8_t scales[12], codes[128];
};
struct FileQ5_K {
    uint16_t d, dmin;
    uint8_t scales[12], high[32], codes[128];
};
struct FileQ6_K {
    uint8_t codes[128], high[64];
    int8_t scales[16];
    uint16_t d;
};
struct FileIQ4_XS {
    uint16_t d, scales_high;
    uint8_t scales_low[4], codes[128];
};

struct BlockSize {
    size_t weights, bytes;
};

constexpr BlockSize block_size(Format format) {
    switch (format) {
        case Format::kF32: return {1, 4};
        case Format::kF16: return {1, 2};
        case Format::kBF16: return {1, 2};
        case Format::kQ4_0: return {32, sizeof(FileQ4_0)};
        case Format::kQ4_1: return {32, sizeof(FileQ4_1)};
        case Format::kQ5_0: return {32, sizeof(FileQ5_0)};
        case Format::kQ5_1: return {32, sizeof(FileQ5_1)};
        case Format::kQ8_0: return {32, sizeof(FileQ8_0)};
        case Format::kQ2_K: return {256, sizeof(FileQ2_K)};
        case Format::kQ3_K: return {256, sizeof(FileQ3_K)};
        case Format::kQ4_K: return {256, sizeof(FileQ4_K)};
        case Format::kQ5_K: return {256, sizeof(FileQ5_K)};
        case Format::kQ6_K: return {256, sizeof(FileQ6_K)};
        case Format::kIQ4_NL: return {32, sizeof(FileQ4_0)};
        case Format::kIQ4_XS: return {256, sizeof(FileIQ4_XS)};
    }
    return {1, 1};
}

}  // namespace gadfly

// 256 weights at a time into blocks: which search belongs to which format.
//
// Without importance Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are plain rounding, bit for bit what the `gguf` package computes.
// An encoder says whether the scales of its blocks can hold the weights.
#pragma once

#include <limits>

#include "formats/blocks.h"
#include "kernels/encode_pack.h"
#include "kernels/encode_super.h"

namespace gadfly {
namespace {

// ---- eight blocks of 32 ---------------------------------------------------------------------------------------------

constexpr size_t kSmall = 32;
using SmallBlocks = Groups<kSmall>;

// What becomes of x: codes = to_code((x − minimum) · per_unit), a block's numbers being one of eight.
struct SmallFit {
    f32x8 scale, minimum, per_unit;
};

// As numpy does it: an inverse as long as there is one.
inline f32x8 plain_inverse(f32x8 x) {
    const f32x8 y = div(splat(1.0F), x);
    return where_less(abs(y), splat(std::numeric_limits<float>::infinity()), y, splat(0.0F));
}

inline SmallFit plain_scale(const SmallBlocks& blocks, float low) {
    const f32x8 scale = div(blocks.peak(), splat(low));
    return {scale, splat(0.0F), plain_inverse(scale)};
}

inline SmallFit plain_line(const SmallBlocks& blocks, float steps) {
    const f32x8 low = blocks.smallest(), scale = div(sub(blocks.largest(), low), splat(steps));
    return {scale, low, plain_inverse(scale)};
}

// Codes are rounded with the scale as it is stored, unlike those of the plain encoders.
inline SmallFit searched(f32x8 scale, f32x8 minimum) {
    const f32x8 stored = as_half(scale);
    return {stored, as_half(minimum), inverse(stored)};
}

// A peak near either end of the levels, which are not symmetric.
constexpr Guesses kIq4Low{-148, 8, 7}, kIq4High{88, 8, 7};

inline f32x8 truncate(f32x8 x) { return to_float(truncate_to_int(x)); }

// The plain encoders' ways from a scaled weight to a code.
struct UpByHalf {  // what comes in is never negative once `shift` is added
    float shift, top;
    f32x8 code(f32x8 x) const { return min(truncate(add(x, splat(shift))), splat(top)); }
};
struct HalvesAway {  // ties away from zero
    f32x8 code(f32x8 x) const {
        const f32x8 whole = truncate(x), rest = sub(x, whole);
        return add(whole, truncate(add(rest, rest)));
    }
};

struct SmallCodes {
    uint16_t d[kLanes], m[kLanes];
    int8_t codes[kChunk];
    bool fits;
};

template <class Levels>
SmallCodes small_codes(const float* x, const SmallFit& fit, const Levels& levels) {
    SmallCodes found;
    store_half(found.d, fit.scale);
    store_half(found.m, fit.minimum);
    found.fits = true;
    for (size_t b = 0; b < kLanes; b++) {
        found.fits = found.fits && is_finite_half(found.d[b]) && is_finite_half(found.m[b]);
    }
    float minimum[kLanes], per_unit[kLanes];
    store(minimum, fit.minimum);
    store(per_unit, fit.per_unit);
    for (size_t i = 0; i < kChunk; i += kLanes) {
        const f32x8 above = sub(load(x + i), splat(minimum[i / kSmall]));
        store_int8(found.codes + i, round_to_int(levels.code(mul(above, splat(per_unit[i / kSmall])))));
    }
    return found;
}

// `half` is half the number of codes: 8 or 16.
inline SmallCodes symmetric_codes(const float* x, const float* importance, float half, const Guesses& low,
                                  const Guesses& high) {
    const SmallBlocks blocks(x, importance);
    if (!importance) return small_codes(x, plain_scale(blocks, -half), UpByHalf{half + 0.5F, 2 * half - 1});
    const Uniform levels{-half, half - 1};
    return small_codes(x, searched(fit_scale(blocks, levels, low, high), splat(0.0F)), levels);
}

inline SmallCodes affine_codes(const float* x, const float* importance, float top) {
    const SmallBlocks blocks(x, importance);
    if (!importance) return small_codes(x, plain_line(blocks, top), UpByHalf{0.5F, top});
    const Uniform levels{0, top};
    const Line line = fit_line(blocks, levels, -std::numeric_limits<float>::infinity(), {top - 2, 0.375F, 12});
    return small_codes(x, searched(line.scale, sub(splat(0.0F), line.minimum)), levels);
}

// Whole numbers that are their own codes.
struct Signed : Uniform {
    f32x8 code(f32x8 x) const { return nearest(x); }
};

inline SmallCodes int8_codes(const float* x, const float* importance) {
    const SmallBlocks blocks(x, importance);
    if (!importance) {
        const f32x8 scale = div(abs(blocks.peak()), splat(127.0F));
        return small_codes(x, {scale, splat(0.0F), plain_inverse(scale)}, HalvesAway{});
    }
    const Signed levels{{-127, 127}};
    return small_codes(x, searched(fit_scale(blocks, levels, {121, 1, 9}, {}), splat(0.0F)), levels);
}

inline SmallCodes iq4_codes(const float* x, const float* importance) {
    const SmallBlocks blocks(x, importance);
    return small_codes(x, searched(fit_scale(blocks, Iq4{}, kIq4Low, kIq4High), splat(0.0F)), Iq4{});
}

// Writes the first `count` of eight blocks: whatever of d, m, high bits and nibbles they have.
template <class FileBlock>
bool write_small(const SmallCodes& from, size_t count, uint8_t* out) {
    for (size_t b = 0; b < count; b++) {
        const int8_t* codes = from.codes + b * kSmall;
        FileBlock block;
        block.d = from.d[b];
        if constexpr (requires { block.m; }) block.m = from.m[b];
        if constexpr (requires { block.high; }) pack_fifth_bits(codes, block.high);
        if constexpr (sizeof block.codes == kSmall) {
            std::memcpy(block.codes, codes, kSmall);
        } else {
            pack_nibbles<16>(codes, block.codes);
        }
        write_block(block, out + b * sizeof block);
    }
    return from.fits;
}

// ---- a block of 256 -------------------------------------------------------------------------------------------------

inline bool write_q2(const float* x, const float* importance, uint8_t* out) {
    const Affine<16> fit = fit_affine<16>(x, importance, 3, 15, {1.75F, 0.25F, 11});
    FileQ2_K block;
    for (size_t i = 0; i < 16; i++) block.scales[i] = byte(fit.scale[i] | fit.minimum[i] << 4);
    pack_pairs<0>(fit.codes, block.codes);
    block.d = float_to_half(fit.d);
    block.dmin = float_to_half(fit.dmin);
    write_block(block, out);
    return is_finite_half(block.d) && is_finite_half(block.dmin);
}

inline bool write_q3(const float* x, const float* importance, uint8_t* out) {
    const Scaled<16> fit =
        fit_scaled<16>(x, importance, Uniform{-4, 3}, Uniform{-32, 31}, {-6, 0.5F, 6}, {2.5F, 0.5F, 6});
    FileQ3_K block;
    pack_bits<2>(fit.codes, block.high);
    pack_pairs<0>(fit.codes, block.codes);
    pack_q3_scales(fit.scale, block.scales);
    block.d = float_to_half(fit.d);
    write_block(block, out);
    return is_finite_half(block.d);
}

// Q4_K and Q5_K.
template <class FileBlock>
bool write_q4_or_q5(const float* x, const float* importance, float top, const Guesses& guesses, uint8_t* out) {
    const Affine<32> fit = fit_affine<32>(x, importance, top, 63, guesses);
    FileBlock block;
    pack_six_bits(fit.scale, fit.minimum, block.scales);
    for (size_t i = 0; i < 4; i++) pack_nibbles<32>(fit.codes + 64 * i, block.codes + 32 * i);
    if constexpr (requires { block.high; }) pack_bits<4>(fit.codes, block.high);
    block.d = float_to_half(fit.d);
    block.dmin = float_to_half(fit.dmin);
    write_block(block, out);
    return is_finite_half(block.d) && is_finite_half(block.dmin);
}

inline bool write_q6(const float* x, const float* importance, uint8_t* out) {
    const Scaled<16> fit = fit_scaled<16>(x, importance, Uniform{-32, 31}, Uniform{-128, 127}, {-33, 1, 7}, {26, 1, 7});
    FileQ6_K block;
    for (size_t half = 0; half < 2; half++) pack_nibbles<64>(fit.codes + 128 * half, block.codes + 64 * half);
    pack_pairs<4>(fit.codes, block.high);
    std::memcpy(block.scales, fit.scale, sizeof block.scales);
    block.d = float_to_half(fit.d);
    write_block(block, out);
    return is_finite_half(block.d);
}

inline bool write_iq4_xs(const float* x, const float* importance, uint8_t* out) {
    const Scaled<32> fit = fit_scaled<32>(x, importance, Iq4{}, Uniform{-32, 31}, kIq4Low, kIq4High);
    FileIQ4_XS block;
    for (size_t i = 0; i < 8; i++) pack_nibbles<16>(fit.codes + 32 * i, block.codes + 16 * i);
    pack_iq4_scales(fit.scale, block);
    block.d = float_to_half(fit.d);
    write_block(block, out);
    return is_finite_half(block.d);
}

// Encodes the first `count` of 256 weights, the others being zero. `count` is a multiple of the format's block.
inline bool write_chunk(Format format, const float* x, const float* importance, size_t count, uint8_t* out) {
    const size_t small = count / kSmall;
    switch (format) {
        case Format::kQ4_0:
            return write_small<FileQ4_0>(symmetric_codes(x, importance, 8, {-10, 0.5F, 7}, {6, 0.5F, 7}), small, out);
        case Format::kQ4_1: return write_small<FileQ4_1>(affine_codes(x, importance, 15), small, out);
        case Format::kQ5_0:
            return write_small<FileQ5_0>(symmetric_codes(x, importance, 16, {-20, 1, 7}, {13, 1, 7}), small, out);
        case Format::kQ5_1: return write_small<FileQ5_1>(affine_codes(x, importance, 31), small, out);
        case Format::kQ8_0: return write_small<FileQ8_0>(int8_codes(x, importance), small, out);
        case Format::kIQ4_NL: return write_small<FileQ4_0>(iq4_codes(x, importance), small, out);
        case Format::kQ2_K: return write_q2(x, importance, out);
        case Format::kQ3_K: return write_q3(x, importance, out);
        case Format::kQ4_K: return write_q4_or_q5<FileQ4_K>(x, importance, 15, {12.5F, 0.25F, 16}, out);
        case Format::kQ5_K: return write_q4_or_q5<FileQ5_K>(x, importance, 31, {27.5F, 0.5F, 10}, out);
        case Format::kQ6_K: return write_q6(x, importance, out);
        case Format::kIQ4_XS: return write_iq4_xs(x, importance, out);
        default: return false;  // floats are no blocks
    }
}

}  // namespace
}  // namespace gadfly

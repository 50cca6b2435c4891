// Eight lanes in one vector of AVX2: see kernels/simd.h, which includes this.
#pragma once

#include <immintrin.h>

namespace gadfly {
namespace {

using f32x8 = __m256;
using i32x8 = __m256i;

inline f32x8 splat(float x) { return _mm256_set1_ps(x); }
inline f32x8 load(const float* p) { return _mm256_loadu_ps(p); }
inline f32x8 load(const uint16_t* p, Half) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline f32x8 load(const uint16_t* p, BFloat) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
inline f32x8 load(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline i32x8 widened(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline f32x8 load(const uint8_t* p) { return _mm256_cvtepi32_ps(widened(p)); }
inline f32x8 load(const uint8_t* p, LowNibble) {
    return _mm256_cvtepi32_ps(_mm256_and_si256(widened(p), _mm256_set1_epi32(15)));
}
inline f32x8 load(const uint8_t* p, HighNibble) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(widened(p), 4)); }
inline void store(float* p, f32x8 x) { _mm256_storeu_ps(p, x); }
inline void store_half(uint16_t* p, f32x8 x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline f32x8 add(f32x8 a, f32x8 b) { return _mm256_add_ps(a, b); }
inline f32x8 sub(f32x8 a, f32x8 b) { return _mm256_sub_ps(a, b); }
inline f32x8 mul(f32x8 a, f32x8 b) { return _mm256_mul_ps(a, b); }
inline f32x8 div(f32x8 a, f32x8 b) { return _mm256_div_ps(a, b); }
inline f32x8 max(f32x8 a, f32x8 b) { return _mm256_max_ps(a, b); }
inline f32x8 min(f32x8 a, f32x8 b) { return _mm256_min_ps(a, b); }
inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) { return _mm256_fmadd_ps(a, b, c); }
inline f32x8 abs(f32x8 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
inline f32x8 to_float(i32x8 a) { return _mm256_cvtepi32_ps(a); }
inline i32x8 round_to_int(f32x8 a) { return _mm256_cvtps_epi32(a); }
inline i32x8 truncate_to_int(f32x8 a) { return _mm256_cvttps_epi32(a); }
// a < b ? x : y, lane by lane; no number is less than NaN.
inline f32x8 where_less(f32x8 a, f32x8 b, f32x8 x, f32x8 y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
inline f32x8 look_up(const float* table, i32x8 index) { return _mm256_i32gather_ps(table, index, 4); }
inline void transpose(f32x8 (&rows)[kLanes]) {
    f32x8 pairs[kLanes], fours[kLanes];
    for (size_t i = 0; i < kLanes; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < kLanes; i += 4) {
        fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xEE);
        fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xEE);
    }
    for (size_t i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}
inline f32x8 exp2_of(i32x8 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline void store_int8(int8_t* p, i32x8 a) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
inline PairSums pair_sums(i32x8 a) {  // exact, hence in any order
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    return {_mm_cvtsi128_si32(four), _mm_extract_epi32(four, 2)};
}
inline i32x8 add(i32x8 a, i32x8 b) { return _mm256_add_epi32(a, b); }
inline bool any_nan(f32x8 a) { return _mm256_movemask_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)) != 0; }

// Thirty-two bytes, four of them in each lane.
inline i32x8 splat_byte(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
inline i32x8 splat_word(int32_t x) { return _mm256_set1_epi32(x); }
inline i32x8 load_bytes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_bytes(void* p, i32x8 a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
// Shifts are of pairs of bytes here, and what they let in from the neighbour is to be masked out.
inline i32x8 shift_right(i32x8 a, int bits) { return _mm256_srli_epi16(a, bits); }
inline i32x8 shift_left(i32x8 a, int bits) { return _mm256_slli_epi16(a, bits); }
inline i32x8 both(i32x8 a, i32x8 b) { return _mm256_and_si256(a, b); }
inline i32x8 either(i32x8 a, i32x8 b) { return _mm256_or_si256(a, b); }
inline i32x8 look_up(const int8_t (&table)[16], i32x8 index) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(lane), index);
}

}  // namespace
}  // namespace gadfly

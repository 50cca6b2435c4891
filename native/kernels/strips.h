// How many strips of a matrix are multiplied at once, a lane per row: one, or two where vectors have sixteen lanes.
//
// Either loads what a row has (scales, codes) of all its strips, given where the first strip has it.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

inline int32_t word_at(const void* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}
#ifdef GADFLY_AVX2

inline i32x8 shift_right(i32x8 a, int bits) { return _mm256_srli_epi16(a, bits); }
inline i32x8 shift_left(i32x8 a, int bits) { return _mm256_slli_epi16(a, bits); }
inline i32x8 both(i32x8 a, i32x8 b) { return _mm256_and_si256(a, b); }
inline i32x8 either(i32x8 a, i32x8 b) { return _mm256_or_si256(a, b); }
inline i32x8 look_up(const int8_t (&table)[16], i32x8 index) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(lane), index);
}

#endif

struct OneStrip {
    static constexpr size_t kStrips = 1;
    using Floats = f32x8;
    using Ints = i32x8;

    explicit OneStrip(size_t) {}
    template <class T, class... Kind>
    Floats load(const T* p, Kind... kind) const {
        return gadfly::load(p, kind...);
    }
    static Floats splat(float x) { return gadfly::splat(x); }
    static f32x8 strip(Floats a, size_t) { return a; }
#ifdef GADFLY_AVX2
    Ints bytes(const void* p) const { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
    static Ints byte(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
    static Ints word(int32_t x) { return _mm256_set1_epi32(x); }
    static Ints four(const void* p) { return word(word_at(p)); }  // bytes
#elif defined(GADFLY_NEON)
    Ints bytes(const void* p) const { return load_words(p); }
    static Ints byte(int x) { return splat_byte(x); }
    static Ints word(int32_t x) { return splat_word(x); }
    static Ints four(const void* p) { return word(word_at(p)); }  // bytes
#endif
};

#ifdef GADFLY_VNNI

// Where a mask of ones changes nothing, it keeps GCC 12 from warning of what its own headers leave undefined.

using f32x16 = __m512;
using i32x16 = __m512i;

inline f32x16 mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
inline f32x16 to_float(i32x16 a) { return _mm512_maskz_cvtepi32_ps(0xFFFF, a); }
inline i32x16 shift_right(i32x16 a, int bits) { return _mm512_srli_epi16(a, static_cast<unsigned>(bits)); }
inline i32x16 shift_left(i32x16 a, int bits) { return _mm512_slli_epi16(a, static_cast<unsigned>(bits)); }
inline i32x16 both(i32x16 a, i32x16 b) { return _mm512_and_si512(a, b); }
inline i32x16 either(i32x16 a, i32x16 b) { return _mm512_or_si512(a, b); }
inline i32x16 look_up(const int8_t (&table)[16], i32x16 index) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(0xFFFF, lane), index);
}
inline i32x8 flipped(i32x8 a, i32x8 bits) { return _mm256_xor_si256(a, bits); }
inline i32x16 flipped(i32x16 a, i32x16 bits) { return _mm512_xor_si512(a, bits); }
inline i32x8 add_dot(i32x8 sum, i32x8 a, i32x8 b) { return _mm256_dpbusd_epi32(sum, a, b); }
inline i32x16 add_dot(i32x16 sum, i32x16 a, i32x16 b) { return _mm512_dpbusd_epi32(sum, a, b); }

struct TwoStrips {
    static constexpr size_t kStrips = 2;
    using Floats = f32x16;
    using Ints = i32x16;

    explicit TwoStrips(size_t strip_bytes) : strip_bytes_(strip_bytes) {}
    template <class T, class... Kind>
    Floats load(const T* p, Kind... kind) const {
        const auto* second = reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(p) + strip_bytes_);
        const __m512d first = _mm512_castps_pd(_mm512_castps256_ps512(gadfly::load(p, kind...)));
        return _mm512_castpd_ps(
            _mm512_maskz_insertf64x4(0xFF, first, _mm256_castps_pd(gadfly::load(second, kind...)), 1));
    }
    static Floats splat(float x) { return _mm512_set1_ps(x); }
    static f32x8 strip(Floats a, size_t index) {
        const __m512d both = _mm512_castps_pd(a);
        return _mm256_castpd_ps(index == 0 ? _mm512_maskz_extractf64x4_pd(0xFF, both, 0)
                                           : _mm512_maskz_extractf64x4_pd(0xFF, both, 1));
    }
    Ints bytes(const void* p) const {
        const auto* second = reinterpret_cast<const __m256i*>(static_cast<const std::byte*>(p) + strip_bytes_);
        const __m256i first = _mm256_loadu_si256(static_cast<const __m256i*>(p));
        return _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(first), _mm256_loadu_si256(second), 1);
    }
    static Ints byte(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
    static Ints word(int32_t x) { return _mm512_set1_epi32(x); }
    static Ints four(const void* p) { return word(word_at(p)); }

  private:
    size_t strip_bytes_;
};

#endif

}  // namespace
}  // namespace gadfly

// How many strips of a matrix are multiplied at once, a lane per row: one, or two where vectors have sixteen lanes, or
// a pair of either, so that what is known of a token serves twice.
//
// Either loads what a row has (scales, codes) of all its strips, given where the first strip has it; `whole` and `put`
// are for what has been unpacked, of all strips in one.
#pragma once

#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

inline int32_t word_at(const void* p) {
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

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
    static Floats whole(const float* p) { return gadfly::load(p); }
    static void put(float* p, Floats a) { store(p, a); }
    static f32x8 strip(Floats a, size_t) { return a; }
#ifdef GADFLY_VECTORS
    Ints bytes(const void* p) const { return load_bytes(p); }
    static Ints whole(const void* p) { return load_bytes(p); }
    static void put(void* p, Ints a) { store_bytes(p, a); }
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
inline i32x8 add_bytes(i32x8 a, i32x8 b) { return _mm256_add_epi8(a, b); }
inline i32x16 add_bytes(i32x16 a, i32x16 b) { return _mm512_add_epi8(a, b); }
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
    static Floats whole(const float* p) { return _mm512_load_ps(p); }
    static void put(float* p, Floats a) { _mm512_store_ps(p, a); }
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
    static Ints whole(const void* p) { return _mm512_load_si512(p); }
    static void put(void* p, Ints a) { _mm512_store_si512(p, a); }
    static Ints byte(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
    static Ints word(int32_t x) { return _mm512_set1_epi32(x); }
    static Ints four(const void* p) { return word(word_at(p)); }

  private:
    size_t strip_bytes_;
};

#endif

#ifdef GADFLY_VECTORS

template <class V>
struct PairOf {
    static constexpr size_t kStrips = 2 * V::kStrips;
    struct Floats {
        typename V::Floats first, second;

        friend Floats mul(Floats a, Floats b) { return {mul(a.first, b.first), mul(a.second, b.second)}; }
        friend Floats fma(Floats a, Floats b, Floats c) {
            return {fma(a.first, b.first, c.first), fma(a.second, b.second, c.second)};
        }
    };
    struct Ints {
        typename V::Ints first, second;

        friend Floats to_float(Ints a) { return {to_float(a.first), to_float(a.second)}; }
#ifdef GADFLY_VNNI
        friend Ints add_dot(Ints sum, Ints a, Ints b) {
            return {add_dot(sum.first, a.first, b.first), add_dot(sum.second, a.second, b.second)};
        }
#endif
    };

    explicit PairOf(size_t strip_bytes) : half_(strip_bytes), half_bytes_(V::kStrips * strip_bytes) {}
    template <class T, class... Kind>
    Floats load(const T* p, Kind... kind) const {
        return {half_.load(p, kind...), half_.load(second(p), kind...)};
    }
    static Floats splat(float x) { return {V::splat(x), V::splat(x)}; }
    static Floats whole(const float* p) { return {V::whole(p), V::whole(p + V::kStrips * kStrip)}; }
    static void put(float* p, Floats a) {
        V::put(p, a.first);
        V::put(p + V::kStrips * kStrip, a.second);
    }
    static f32x8 strip(Floats a, size_t index) {
        return index < V::kStrips ? V::strip(a.first, index) : V::strip(a.second, index - V::kStrips);
    }
    Ints bytes(const void* p) const { return {half_.bytes(p), half_.bytes(second(static_cast<const std::byte*>(p)))}; }
    static Ints whole(const void* p) { return {V::whole(p), V::whole(static_cast<const std::byte*>(p) + kBytes)}; }
    static void put(void* p, Ints a) {
        V::put(p, a.first);
        V::put(static_cast<std::byte*>(p) + kBytes, a.second);
    }
    static Ints word(int32_t x) { return {V::word(x), V::word(x)}; }
    static Ints four(const void* p) { return {V::four(p), V::four(p)}; }

    V half() const { return half_; }
    template <class T>
    const T* second(const T* p) const {
        return reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(p) + half_bytes_);
    }

  private:
    static constexpr size_t kBytes = sizeof(typename V::Ints);

    V half_;
    size_t half_bytes_;
};

#endif

constexpr size_t kTokens = 96;  // whose sums wait while panels are unpacked

// How many tokens at a time come after C of them.
constexpr size_t fewer(size_t C) { return C > 4 ? 4 : C / 2; }

inline void store_strip(f32x8 acc, float* out, size_t rows) {
    if (rows == kStrip) {
        store(out, acc);
    } else {
        float lanes[kStrip];
        store(lanes, acc);
        for (size_t r = 0; r < rows; r++) out[r] = lanes[r];
    }
}

// out += factor · x
inline void add_strip(f32x8 x, f32x8 factor, float* out, size_t rows) {
    if (rows == kStrip) return store(out, fma(x, factor, load(out)));
    float lanes[kStrip] = {};
    std::copy_n(out, rows, lanes);
    store_strip(fma(x, factor, load(lanes)), out, rows);
}

template <class V>
inline void store_strips(const PackedMatrix& w, size_t strip, typename V::Floats acc, float* out) {
    for (size_t s = 0; s < V::kStrips; s++) {
        const size_t first = (strip + s) * kStrip;
        store_strip(V::strip(acc, s), out + first, w.rows() - first < kStrip ? w.rows() - first : kStrip);
    }
}

}  // namespace
}  // namespace gadfly

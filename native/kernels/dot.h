// Integer dot products of one tile (8 rows × 32 columns) with the int8 codes of several tokens: exact, hence equal on
// every instruction set. sums[c][h] holds, for 8 rows, Σ code · x over the columns of half h (16 columns) of the tile.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

#ifdef GADFLY_AVX2

inline i32x8 broadcast4(const void* p) {  // four bytes to all lanes
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

inline i32x8 load_codes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// GCC re-associates sums of 16-bit lanes and spills; this keeps the order as written.
#define GADFLY_KEEP(x) asm volatile("" : "+x"(x))

// The plane's bits of group g, moved to bit `to` of each byte.
template <int to, int bits>
inline i32x8 bits_of(const Plane<bits>& plane, size_t g) {
    const i32x8 packed = load_codes(plane.bytes[Plane<bits>::byte_of(g)]);
    const int shift = Plane<bits>::shift_of(g) - to;
    const i32x8 moved = shift > 0 ? _mm256_srli_epi16(packed, shift) : _mm256_slli_epi16(packed, -shift);
    return _mm256_and_si256(shift == 0 ? packed : moved, _mm256_set1_epi8(static_cast<char>(Plane<bits>::kMask << to)));
}

// Codes of group g as they are stored, a byte each: unsigned, except for those of Range::kInt8.
inline i32x8 codes_of(const TwoBits& codes, size_t g) { return bits_of<0>(codes.low, g); }
inline i32x8 codes_of(const ThreeBits& codes, size_t g) {
    return _mm256_or_si256(bits_of<3>(codes.low, g), bits_of<5>(codes.high, g));
}
inline i32x8 codes_of(const FourBits& codes, size_t g) { return bits_of<0>(codes.low, g); }
inline i32x8 codes_of(const FiveBits& codes, size_t g) {
    return _mm256_or_si256(bits_of<0>(codes.low, g), bits_of<4>(codes.high, g));
}
inline i32x8 codes_of(const SixBits& codes, size_t g) {
    return _mm256_or_si256(bits_of<0>(codes.low, g), bits_of<4>(codes.high, g));
}
inline i32x8 codes_of(const Levels& codes, size_t g) {
    const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kLevels)));
    return _mm256_shuffle_epi8(levels, bits_of<0>(codes.low, g));
}
inline i32x8 codes_of(const EightBits& codes, size_t g) { return load_codes(codes.bytes[g]); }

#ifdef GADFLY_VNNI

// What the products of a group of 16 begin with, so that codes can be unsigned: less the share of what was added.
template <Range range>
inline i32x8 offset(const Int8Row& x, size_t group) {
    if constexpr (range == Range::kSmall) return _mm256_setzero_si256();
    if constexpr (range == Range::kCentred) return _mm256_srai_epi32(_mm256_set1_epi32(x.bias[group]), 2);
    return _mm256_set1_epi32(x.bias[group]);
}

template <class Codes, size_t C>
inline void dot(const Codes& codes, const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) sums[c][h] = offset<Codes::range>(x[c], k / kGroup + h);
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            __m256i w = codes_of(codes, g);
            if constexpr (Codes::range == Range::kInt8) w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));  // w + 128
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                sums[c][h] = _mm256_dpbusd_epi32(sums[c][h], w, broadcast4(x[c].codes + k + 4 * g));
            }
        }
    }
}

#else

template <class Codes, size_t C>
    requires(Codes::range != Range::kInt8)
inline void dot(const Codes& codes, const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    constexpr bool kCentred = Codes::range == Range::kCentred;
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
        // Eight products fit 16 bits: 8 · 31 · 127. Those of codes with 32 added may not, but wrap around, and do fit
        // when 32 times the activations is off: 8 · 32 · 127.
        __m256i words[C];
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = codes_of(codes, g);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const __m256i p = _mm256_maddubs_epi16(w, broadcast4(x[c].codes + k + 4 * g));
                if (g != 4 * h) {
                    words[c] = _mm256_add_epi16(words[c], p);
                } else {
                    words[c] = kCentred ? _mm256_add_epi16(broadcast4(x[c].pairs[k / kGroup + h]), p) : p;
                }
                GADFLY_KEEP(words[c]);
            }
        }
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) sums[c][h] = _mm256_madd_epi16(words[c], ones);
    }
}

template <class Codes, size_t C>
    requires(Codes::range == Range::kInt8)
inline void dot(const Codes& codes, const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = codes_of(codes, g), magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const __m256i signed_x = _mm256_sign_epi8(broadcast4(x[c].codes + k + 4 * g), w);
                const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, signed_x), ones);
                sums[c][h] = g == 4 * h ? p : _mm256_add_epi32(sums[c][h], p);
            }
        }
    }
}

#endif

#else

template <class Codes, size_t C>
inline void dot(const Codes& codes, const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    for (size_t row = 0; row < kStrip; row++) {
        int32_t code[kTile];
        for (size_t i = 0; i < kTile; i++) code[i] = codes.at(row, i);
        for (size_t c = 0; c < C; c++) {
            for (size_t h = 0; h < 2; h++) {
                int32_t total = 0;
                for (size_t i = h * kGroup; i < (h + 1) * kGroup; i++) total += code[i] * x[c].codes[k + i];
                sums[c][h].lane[row] = total;
            }
        }
    }
}

#endif

}  // namespace
}  // namespace gadfly

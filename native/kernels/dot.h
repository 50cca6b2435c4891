// Integer dot products of one tile (8 rows × 32 columns) with the int8 codes of several tokens: exact, hence equal on
// every instruction set. sums[c][h] holds, for 8 rows, Σ code · x over the columns of half h (16 columns) of the tile.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

#ifdef GADFLY_AVX2

inline i32x8 broadcast4(const int8_t* p) {  // four int8 to all lanes
    int32_t word;
    std::memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

inline i32x8 load_codes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// GCC re-associates sums of 16-bit lanes and spills; this keeps the order as written.
#define GADFLY_KEEP(x) asm volatile("" : "+x"(x))

// codes: 4-bit, two neighbouring groups of four columns in the nibbles of each byte.
template <size_t C>
inline void dot4(const uint8_t (&codes)[4][kStrip][4], const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    const __m256i low_nibbles = _mm256_set1_epi8(15);
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#ifdef GADFLY_VNNI
        for (size_t c = 0; c < C; c++) sums[c][h] = _mm256_setzero_si256();
#pragma GCC unroll 2
        for (size_t j = 2 * h; j < 2 * h + 2; j++) {
            const __m256i pair = load_codes(codes[j]);
            const __m256i low = _mm256_and_si256(pair, low_nibbles);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(pair, 4), low_nibbles);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const int8_t* a = x[c].codes + k + 8 * j;
                sums[c][h] = _mm256_dpbusd_epi32(sums[c][h], low, broadcast4(a));
                sums[c][h] = _mm256_dpbusd_epi32(sums[c][h], high, broadcast4(a + 4));
            }
        }
#else
        __m256i words[C];  // 4 · 2 · 15 · 127 fits 16 bits
#pragma GCC unroll 2
        for (size_t j = 2 * h; j < 2 * h + 2; j++) {
            const __m256i pair = load_codes(codes[j]);
            const __m256i low = _mm256_and_si256(pair, low_nibbles);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(pair, 4), low_nibbles);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const int8_t* a = x[c].codes + k + 8 * j;
                const __m256i p = _mm256_maddubs_epi16(low, broadcast4(a));
                words[c] = j == 2 * h ? p : _mm256_add_epi16(words[c], p);
                GADFLY_KEEP(words[c]);
                words[c] = _mm256_add_epi16(words[c], _mm256_maddubs_epi16(high, broadcast4(a + 4)));
                GADFLY_KEEP(words[c]);
            }
        }
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) sums[c][h] = _mm256_madd_epi16(words[c], ones);
#endif
    }
}

template <size_t C>
inline void dot8(const int8_t (&codes)[8][kStrip][4], const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#ifdef GADFLY_VNNI
        const __m256i flip = _mm256_set1_epi8(-128);  // int8 w becomes the unsigned w + 128; bias takes 128 Σ x off
        for (size_t c = 0; c < C; c++) sums[c][h] = _mm256_set1_epi32(x[c].bias[k / kGroup + h]);
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = _mm256_xor_si256(load_codes(codes[g]), flip);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                sums[c][h] = _mm256_dpbusd_epi32(sums[c][h], w, broadcast4(x[c].codes + k + 4 * g));
            }
        }
#else
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = load_codes(codes[g]), magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const __m256i signed_x = _mm256_sign_epi8(broadcast4(x[c].codes + k + 4 * g), w);
                const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, signed_x), ones);
                sums[c][h] = g == 4 * h ? p : _mm256_add_epi32(sums[c][h], p);
            }
        }
#endif
    }
}

#else

template <size_t C>
inline void dot4(const uint8_t (&codes)[4][kStrip][4], const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    for (size_t c = 0; c < C; c++) {
        for (size_t h = 0; h < 2; h++) {
            for (size_t row = 0; row < kStrip; row++) {
                int32_t total = 0;
                for (size_t j = 2 * h; j < 2 * h + 2; j++) {
                    const int8_t* a = x[c].codes + k + 8 * j;
                    for (size_t i = 0; i < 4; i++) {
                        total += (codes[j][row][i] & 15) * a[i] + (codes[j][row][i] >> 4) * a[4 + i];
                    }
                }
                sums[c][h].lane[row] = total;
            }
        }
    }
}

template <size_t C>
inline void dot8(const int8_t (&codes)[8][kStrip][4], const Int8Row (&x)[C], size_t k, i32x8 (&sums)[C][2]) {
    for (size_t c = 0; c < C; c++) {
        for (size_t h = 0; h < 2; h++) {
            for (size_t row = 0; row < kStrip; row++) {
                int32_t total = 0;
                for (size_t g = 4 * h; g < 4 * h + 4; g++) {
                    for (size_t i = 0; i < 4; i++) total += codes[g][row][i] * x[c].codes[k + 4 * g + i];
                }
                sums[c][h].lane[row] = total;
            }
        }
    }
}

#endif

}  // namespace
}  // namespace gadfly

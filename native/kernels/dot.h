// Integer dot products of one tile (8 rows × 32 columns) with the int8 codes of several tokens: exact, hence equal on
// every instruction set. sums[c][h] holds, per row, Σ code · x over the columns of half h (16 columns) of the tile.
//
// V says how many strips are multiplied at once: see kernels/strips.h. Codes are packed as formats/codes.h has them, or
// a byte each: those of Unpacked, which pays where many tokens follow.
#pragma once

#include "kernels/strips.h"

namespace gadfly {
namespace {

// GCC re-associates sums of 16-bit lanes and spills; this keeps the order as written.
#if defined(GADFLY_AVX2)
#define GADFLY_KEEP(x) asm volatile("" : "+x"(x))
#elif defined(GADFLY_NEON)
#define GADFLY_KEEP(x) asm volatile("" : "+w"((x).low), "+w"((x).high))
#else
#define GADFLY_KEEP(x) asm volatile("" : "+m"(x))
#endif

#ifdef GADFLY_VECTORS

// The plane's bits of group g, moved to bit `to` of each byte.
template <int to, class V, int bits>
inline typename V::Ints bits_of(V v, const Plane<bits>& plane, size_t g) {
    const auto packed = v.bytes(plane.bytes[Plane<bits>::byte_of(g)]);
    const int shift = Plane<bits>::shift_of(g) - to;
    const auto moved = shift == 0 ? packed : shift > 0 ? shift_right(packed, shift) : shift_left(packed, -shift);
    return both(moved, V::byte(Plane<bits>::kMask << to));
}

// Codes of group g as they are stored, a byte each: unsigned, except for those of Range::kInt8.
template <class V>
inline typename V::Ints codes_of(V v, const TwoBits& codes, size_t g) {
    return bits_of<0>(v, codes.low, g);
}
template <class V>
inline typename V::Ints codes_of(V v, const ThreeBits& codes, size_t g) {
    return either(bits_of<3>(v, codes.low, g), bits_of<5>(v, codes.high, g));
}
template <class V>
inline typename V::Ints codes_of(V v, const FourBits& codes, size_t g) {
    return bits_of<0>(v, codes.low, g);
}
template <class V>
inline typename V::Ints codes_of(V v, const FiveBits& codes, size_t g) {
    return either(bits_of<0>(v, codes.low, g), bits_of<4>(v, codes.high, g));
}
template <class V>
inline typename V::Ints codes_of(V v, const SixBits& codes, size_t g) {
    return either(bits_of<0>(v, codes.low, g), bits_of<4>(v, codes.high, g));
}
template <class V>
inline typename V::Ints codes_of(V v, const Levels& codes, size_t g) {
    return look_up(kLevels, bits_of<0>(v, codes.low, g));
}
template <class V>
inline typename V::Ints codes_of(V v, const EightBits& codes, size_t g) {
    return v.bytes(codes.bytes[g]);
}

template <class V, Range of>
struct Unpacked {
    alignas(64) uint8_t bytes[kTile / 4][V::kStrips * kStrip][4];

    static constexpr Range range = of;
};

template <class V, Range of>
inline typename V::Ints codes_of(V, const Unpacked<V, of>& codes, size_t g) {
    return V::whole(codes.bytes[g]);
}

#ifdef GADFLY_VNNI

constexpr Range unpacked(Range range) { return range == Range::kSmall ? range : Range::kRaised; }

// Codes of group g as Unpacked has them.
template <class V, class Codes>
inline typename V::Ints unpack(V v, const Codes& codes, size_t g) {
    const auto w = codes_of(v, codes, g);
    if constexpr (Codes::range == Range::kCentred) return add_bytes(w, V::byte(128 - 32));
    if constexpr (Codes::range == Range::kInt8) return flipped(w, V::byte(128));
    return w;
}

template <class V, class Codes>
inline typename PairOf<V>::Ints unpack(PairOf<V> v, const Codes& codes, size_t g) {
    return {unpack(v.half(), codes, g), unpack(v.half(), *v.second(&codes), g)};
}

// What the products of half a tile begin with, so that codes can be unsigned: less the share of what was added.
template <class V, Range range>
inline typename V::Ints offset(const Int8Row::Tile& x, size_t half) {
    if constexpr (range == Range::kSmall) return V::word(0);
    if constexpr (range == Range::kCentred) return V::word(x.bias[half] >> 2);
    return V::word(x.bias[half]);
}

template <class V, class Codes, size_t C>
inline void dot(V v, const Codes& codes, const Int8Row (&x)[C], size_t tile, typename V::Ints (&sums)[C][2]) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#pragma GCC unroll 16
        for (size_t c = 0; c < C; c++) sums[c][h] = offset<V, Codes::range>(x[c].tiles[tile], h);
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            auto w = codes_of(v, codes, g);
            if constexpr (Codes::range == Range::kInt8) w = flipped(w, V::byte(128));
#pragma GCC unroll 16
            for (size_t c = 0; c < C; c++) {
                sums[c][h] = add_dot(sums[c][h], w, V::four(x[c].codes + tile * kTile + 4 * g));
            }
        }
    }
}

#else

constexpr Range unpacked(Range range) { return range; }

template <class V, class Codes>
inline typename V::Ints unpack(V v, const Codes& codes, size_t g) {
    return codes_of(v, codes, g);
}

#ifdef GADFLY_NEON

// Codes fit signed bytes as they are, and one vector has the activations of half a tile.
template <class V, class Codes, size_t C>
inline void dot(V v, const Codes& codes, const Int8Row (&x)[C], size_t tile, i32x8 (&sums)[C][2]) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
        i32x8 w[4];
#pragma GCC unroll 4
        for (size_t g = 0; g < 4; g++) w[g] = codes_of(v, codes, 4 * h + g);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) {
            const int8x16_t known = vld1q_s8(x[c].codes + tile * kTile + h * kGroup);
            // Where 32 was added to codes, 32 times the activations is off.
            i32x8 sum = splat_word(Codes::range == Range::kCentred ? x[c].tiles[tile].bias[h] >> 2 : 0);
            sum = add_dot<0>(sum, w[0], known);
            sum = add_dot<1>(sum, w[1], known);
            sum = add_dot<2>(sum, w[2], known);
            sums[c][h] = add_dot<3>(sum, w[3], known);
        }
    }
}

#else

template <class V, class Codes, size_t C>
    requires(Codes::range != Range::kInt8)
inline void dot(V v, const Codes& codes, const Int8Row (&x)[C], size_t tile, i32x8 (&sums)[C][2]) {
    constexpr bool kCentred = Codes::range == Range::kCentred;
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
        // Eight products fit 16 bits: 8 · 31 · 127. Those of codes with 32 added may not, but wrap around, and do fit
        // when 32 times the activations is off: 8 · 32 · 127.
        __m256i words[C];
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = codes_of(v, codes, g);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const __m256i p = _mm256_maddubs_epi16(w, V::four(x[c].codes + tile * kTile + 4 * g));
                if (g != 4 * h) {
                    words[c] = _mm256_add_epi16(words[c], p);
                } else {
                    words[c] = kCentred ? _mm256_add_epi16(V::four(x[c].tiles[tile].pairs[h]), p) : p;
                }
                GADFLY_KEEP(words[c]);
            }
        }
        const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) sums[c][h] = _mm256_madd_epi16(words[c], ones);
    }
}

template <class V, class Codes, size_t C>
    requires(Codes::range == Range::kInt8)
inline void dot(V v, const Codes& codes, const Int8Row (&x)[C], size_t tile, i32x8 (&sums)[C][2]) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; h++) {
#pragma GCC unroll 4
        for (size_t g = 4 * h; g < 4 * h + 4; g++) {
            const __m256i w = codes_of(v, codes, g), magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) {
                const __m256i signed_x = _mm256_sign_epi8(V::four(x[c].codes + tile * kTile + 4 * g), w);
                const __m256i p = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, signed_x), ones);
                sums[c][h] = g == 4 * h ? p : _mm256_add_epi32(sums[c][h], p);
            }
        }
    }
}

#endif
#endif

#else

template <class V, class Codes, size_t C>
inline void dot(V, const Codes& codes, const Int8Row (&x)[C], size_t tile, i32x8 (&sums)[C][2]) {
    for (size_t row = 0; row < kStrip; row++) {
        int32_t code[kTile];
        for (size_t i = 0; i < kTile; i++) code[i] = codes.at(row, i);
        for (size_t c = 0; c < C; c++) {
            for (size_t h = 0; h < 2; h++) {
                int32_t total = 0;
                for (size_t i = h * kGroup; i < (h + 1) * kGroup; i++) total += code[i] * x[c].codes[tile * kTile + i];
                sums[c][h].lane[row] = total;
            }
        }
    }
}

#endif

}  // namespace
}  // namespace gadfly

// Multiplies registers with registers and does nothing else: what other kernels could reach at most.
#pragma once

#include "kernels/dot.h"

namespace gadfly {
namespace {

// Returns how many products it has computed.
size_t exercise(bool floats, size_t rounds) {
    constexpr size_t kChains = 12;  // of additions hide their latency
#ifdef GADFLY_VNNI
    using V = TwoStrips;
#else
    using V = OneStrip;
#endif
    typename V::Floats totals[kChains], x = V::splat(1e-3F);
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; i++) totals[i] = V::splat(0);
    constexpr size_t kRows = V::kStrips * kStrip;
    if (floats) {
        for (size_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
            for (size_t i = 0; i < kChains; i++) {
                totals[i] = fma(x, x, totals[i]);
                GADFLY_KEEP(totals[i]);
            }
        }
        return rounds * kChains * kRows;
    }
#ifdef GADFLY_VECTORS
    typename V::Ints sums[kChains], codes = V::byte(1);
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; i++) sums[i] = V::word(0);
    for (size_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (size_t i = 0; i < kChains; i++) {
            GADFLY_KEEP(codes);  // lest products are computed once for all rounds
#ifdef GADFLY_VNNI
            sums[i] = add_dot(sums[i], codes, codes);
#elif defined(GADFLY_NEON)
            sums[i] = add_dot<0>(sums[i], codes, vreinterpretq_s8_s32(codes.low));
#else
            sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(codes, codes));
#endif
            GADFLY_KEEP(sums[i]);
        }
    }
    return rounds * kChains * kRows * 4;
#else
    int8_t codes[kTile] = {1};
    int32_t sum = 0;
    for (size_t round = 0; round < rounds; round++) {
        GADFLY_KEEP(codes);
        for (const int8_t code : codes) sum += code * code;
        GADFLY_KEEP(sum);
    }
    return rounds * kTile;
#endif
}

}  // namespace
}  // namespace gadfly

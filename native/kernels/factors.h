// What the integer sums of a tile are multiplied with, for every layout: a scale for the whole tile or one for each
// half, and none, one or two minima, which are multiplied with sums of activations.
#pragma once

#include "kernels/dot.h"

namespace gadfly {
namespace {

template <class V, size_t scales, size_t minima>
struct Factors {
    typename V::Floats scale[scales], minimum[minima > 0 ? minima : 1];
};

template <class Tile>
constexpr size_t kTilesOf = Tile::kColumns / kTile;

// Tile t of a tile, which is the tile itself, or of a block.
template <class Tile>
inline const typename Tile::Codes& codes_of_tile(const Tile& w, size_t t) {
    if constexpr (kTilesOf<Tile> == 1) {
        return w.codes;
    } else {
        return w.codes[t];
    }
}

template <class V, class Codes>
inline Factors<V, 1, 1> factors(V v, const MinimumTile<Codes>& w, size_t) {
    return {{v.load(w.d, Half{})}, {v.load(w.m, Half{})}};
}

template <class V, class Codes, int offset>
inline Factors<V, 1, 1> factors(V v, const OffsetTile<Codes, offset>& w, size_t) {
    const auto d = v.load(w.d, Half{});
    return {{d}, {mul(d, V::splat(-offset))}};
}

template <class V, class Codes, class Scale>
inline Factors<V, 1, 0> factors(V v, const ScaledTile<Codes, Scale>& w, size_t) {
    return {{v.load(w.d, Scale{})}, {}};
}

template <class V, class Codes>
inline Factors<V, 1, 1> factors(V v, const MinimumBlock<Codes>& w, size_t t) {
    const auto d = v.load(w.d, Half{}), less = mul(v.load(w.dmin, Half{}), V::splat(-1));
    return {{mul(d, v.load(w.scale[t]))}, {mul(less, v.load(w.minimum[t]))}};
}

template <class V>
inline Factors<V, 1, 0> factors(V v, const ScaledBlock& w, size_t t) {
    return {{mul(v.load(w.d), v.load(w.scale[t]))}, {}};
}

template <class V, class Codes>
inline Factors<V, 2, 0> factors(V v, const HalvesBlock<Codes>& w, size_t t) {
    const auto d = v.load(w.d);
    return {{mul(d, v.load(w.scale[t][0])), mul(d, v.load(w.scale[t][1]))}, {}};
}

template <class V>
inline Factors<V, 2, 2> factors(V v, const HalvesMinimumBlock& w, size_t t) {
    const auto d = v.load(w.d, Half{}), less = mul(v.load(w.dmin, Half{}), V::splat(-1));
    return {{mul(d, v.load(w.scale[t][0], LowNibble{})), mul(d, v.load(w.scale[t][1], LowNibble{}))},
            {mul(less, v.load(w.scale[t][0], HighNibble{})), mul(less, v.load(w.scale[t][1], HighNibble{}))}};
}

// C tokens from `token` on, P int8 rows each.
template <size_t CP, size_t P>
struct Int8Rows {
    Int8Row rows[CP];

    Int8Rows(const Rows (&x)[P], size_t token, size_t width) {
        for (size_t i = 0; i < CP; i++) rows[i] = x[i % P].int8s(token + i / P, width);
    }
};

// acc[c] += tile · x, where token c has P int8 rows that stand for the sum of what they mean. Sums of half a tile are
// multiplied with their activations' scales, then with the rows' own.
template <size_t P, class V, size_t scales, size_t minima, class Codes, size_t C, size_t CP>
inline void add_tile(V v, const Codes& codes, const Factors<V, scales, minima>& f, const Int8Row (&x)[CP], size_t tile,
                     typename V::Floats (&acc)[C]) {
    typename V::Ints sums[CP][2];
    dot(v, codes, x, tile, sums);
#pragma GCC unroll 16
    for (size_t c = 0; c < C; c++) {
        typename V::Floats t;
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; h++) {
#pragma GCC unroll 2
            for (size_t i = c * P; i < (c + 1) * P; i++) {
                const auto sum = to_float(sums[i][h]), scale = V::splat(x[i].tiles[tile].scale[h]);
                const bool first = i == c * P && (h == 0 || scales == 2);
                t = first ? mul(sum, scale) : fma(sum, scale, t);
            }
            if (scales == 2 || h == 1) acc[c] = fma(t, f.scale[scales == 2 ? h : 0], acc[c]);
        }
    }
    if constexpr (minima == 0) return;
#pragma GCC unroll 16
    for (size_t i = 0; i < CP; i++) {
        const Int8Row::Tile& known = x[i].tiles[tile];
        if constexpr (minima == 1) {
            acc[i / P] = fma(f.minimum[0], V::splat(known.total), acc[i / P]);
        } else {
            acc[i / P] = fma(f.minimum[0], V::splat(known.sum[0]), acc[i / P]);
            acc[i / P] = fma(f.minimum[1], V::splat(known.sum[1]), acc[i / P]);
        }
    }
}

}  // namespace
}  // namespace gadfly

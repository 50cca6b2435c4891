// Matrix times activations: strips of eight rows against up to six tokens at a time, accumulators in registers.
#pragma once

#include "kernels/dot.h"

namespace gadfly {
namespace {

constexpr size_t kColumns = 6;  // rows of activations that share one pass over a strip

// acc[c] += tile · x, where token c has P int8 rows that stand for the sum of what they mean. Half-tile sums are scaled
// by their activation scales, then by the rows' weight scales.
template <class V, size_t C, size_t P>
inline void scale_and_add(typename V::Ints (&sums)[C * P][2], typename V::Floats scale, const Int8Row (&x)[C * P],
                          size_t tile, typename V::Floats (&acc)[C]) {
#pragma GCC unroll 8
    for (size_t c = 0; c < C; c++) {
        auto t = mul(to_float(sums[c * P][0]), V::splat(x[c * P].scale[2 * tile]));
        t = fma(to_float(sums[c * P][1]), V::splat(x[c * P].scale[2 * tile + 1]), t);
        if constexpr (P == 2) {
            t = fma(to_float(sums[c * P + 1][0]), V::splat(x[c * P + 1].scale[2 * tile]), t);
            t = fma(to_float(sums[c * P + 1][1]), V::splat(x[c * P + 1].scale[2 * tile + 1]), t);
        }
        acc[c] = fma(t, scale, acc[c]);
    }
}

// The same where each half of the tile has a scale of its own.
template <class V, size_t C, size_t P>
inline void scale_half_and_add(typename V::Ints (&sums)[C * P][2], size_t h, typename V::Floats scale,
                               const Int8Row (&x)[C * P], size_t tile, typename V::Floats (&acc)[C]) {
#pragma GCC unroll 8
    for (size_t c = 0; c < C; c++) {
        auto t = mul(to_float(sums[c * P][h]), V::splat(x[c * P].scale[2 * tile + h]));
        if constexpr (P == 2) t = fma(to_float(sums[c * P + 1][h]), V::splat(x[c * P + 1].scale[2 * tile + h]), t);
        acc[c] = fma(t, scale, acc[c]);
    }
}

template <class V, size_t C, size_t P>
inline void add_minimum(typename V::Floats minimum, const Int8Row (&x)[C * P], size_t tile,
                        typename V::Floats (&acc)[C]) {
#pragma GCC unroll 8
    for (size_t i = 0; i < C * P; i++) acc[i / P] = fma(minimum, V::splat(x[i].sum[tile]), acc[i / P]);
}

// acc[c] += tile · x, or block · x: tile after tile.
template <class V, size_t C, size_t P, class Codes>
inline void add_products(V v, const MinimumTile<Codes>& w, const Int8Row (&x)[C * P], size_t tile,
                         typename V::Floats (&acc)[C]) {
    typename V::Ints sums[C * P][2];
    dot(v, w.codes, x, tile * kTile, sums);
    scale_and_add<V, C, P>(sums, v.load(w.d, Half{}), x, tile, acc);
    add_minimum<V, C, P>(v.load(w.m, Half{}), x, tile, acc);
}

template <class V, size_t C, size_t P, class Codes, int offset>
inline void add_products(V v, const OffsetTile<Codes, offset>& w, const Int8Row (&x)[C * P], size_t tile,
                         typename V::Floats (&acc)[C]) {
    typename V::Ints sums[C * P][2];
    dot(v, w.codes, x, tile * kTile, sums);
    scale_and_add<V, C, P>(sums, v.load(w.d, Half{}), x, tile, acc);
    add_minimum<V, C, P>(mul(v.load(w.d, Half{}), V::splat(-offset)), x, tile, acc);
}

template <class V, size_t C, size_t P, class Codes, class Scale>
inline void add_products(V v, const ScaledTile<Codes, Scale>& w, const Int8Row (&x)[C * P], size_t tile,
                         typename V::Floats (&acc)[C]) {
    typename V::Ints sums[C * P][2];
    dot(v, w.codes, x, tile * kTile, sums);
    scale_and_add<V, C, P>(sums, v.load(w.d, Scale{}), x, tile, acc);
}

template <class V, size_t C, size_t P, class Codes>
inline void add_products(V v, const MinimumBlock<Codes>& w, const Int8Row (&x)[C * P], size_t block,
                         typename V::Floats (&acc)[C]) {
    const auto d = v.load(w.d, Half{}), less = mul(v.load(w.dmin, Half{}), V::splat(-1));
#pragma GCC unroll 1
    for (size_t t = 0; t < kBlockTiles; t++) {
        const size_t tile = block * kBlockTiles + t;
        typename V::Ints sums[C * P][2];
        dot(v, w.codes[t], x, tile * kTile, sums);
        scale_and_add<V, C, P>(sums, mul(d, v.load(w.scale[t])), x, tile, acc);
        add_minimum<V, C, P>(mul(less, v.load(w.minimum[t])), x, tile, acc);
    }
}

template <class V, size_t C, size_t P>
inline void add_products(V v, const ScaledBlock& w, const Int8Row (&x)[C * P], size_t block,
                         typename V::Floats (&acc)[C]) {
    const auto d = v.load(w.d);
#pragma GCC unroll 1
    for (size_t t = 0; t < kBlockTiles; t++) {
        const size_t tile = block * kBlockTiles + t;
        typename V::Ints sums[C * P][2];
        dot(v, w.codes[t], x, tile * kTile, sums);
        scale_and_add<V, C, P>(sums, mul(d, v.load(w.scale[t])), x, tile, acc);
    }
}

template <class V, size_t C, size_t P, class Codes>
inline void add_products(V v, const HalvesBlock<Codes>& w, const Int8Row (&x)[C * P], size_t block,
                         typename V::Floats (&acc)[C]) {
    const auto d = v.load(w.d);
#pragma GCC unroll 1
    for (size_t t = 0; t < kBlockTiles; t++) {
        const size_t tile = block * kBlockTiles + t;
        typename V::Ints sums[C * P][2];
        dot(v, w.codes[t], x, tile * kTile, sums);
        for (size_t h = 0; h < 2; h++) {
            scale_half_and_add<V, C, P>(sums, h, mul(d, v.load(w.scale[t][h])), x, tile, acc);
        }
    }
}

template <class V, size_t C, size_t P>
inline void add_products(V v, const HalvesMinimumBlock& w, const Int8Row (&x)[C * P], size_t block,
                         typename V::Floats (&acc)[C]) {
    const auto d = v.load(w.d, Half{}), more = mul(v.load(w.dmin, Half{}), V::splat(1.0F / 128));
#pragma GCC unroll 1
    for (size_t t = 0; t < kBlockTiles; t++) {
        const size_t tile = block * kBlockTiles + t;
        typename V::Ints sums[C * P][2];
        dot(v, w.codes[t], x, tile * kTile, sums);
        for (size_t h = 0; h < 2; h++) {
            scale_half_and_add<V, C, P>(sums, h, mul(d, v.load(w.scale[t][h], LowNibble{})), x, tile, acc);
            const auto minimum = mul(more, v.load(w.scale[t][h], HighNibble{}));
            for (size_t i = 0; i < C * P; i++) {  // bias is -128 times the sum of codes
                const float sum = x[i].scale[2 * tile + h] * static_cast<float>(x[i].bias[2 * tile + h]);
                acc[i / P] = fma(minimum, V::splat(sum), acc[i / P]);
            }
        }
    }
}

inline void store_strip(f32x8 acc, float* out, size_t rows) {
    if (rows == kStrip) {
        store(out, acc);
    } else {
        float lanes[kStrip];
        store(lanes, acc);
        for (size_t r = 0; r < rows; r++) out[r] = lanes[r];
    }
}

template <class V, class Tile, size_t C, size_t P>
void integer_strips(const PackedMatrix& w, size_t strip, const Rows (&x)[P], size_t token, Rows out) {
    const Tile* tiles = reinterpret_cast<const Tile*>(w.strip(strip));
    const V v(w.strip_bytes());
    Int8Row rows[C * P];
    for (size_t i = 0; i < C * P; i++) rows[i] = x[i % P].int8s(token + i / P, w.columns());
    typename V::Floats acc[C];
    for (auto& a : acc) a = V::splat(0);
    for (size_t b = 0; b < w.columns() / Tile::kColumns; b++) {
#ifdef GADFLY_AVX2
        const char* ahead = reinterpret_cast<const char*>(tiles + b + kBlock / Tile::kColumns);  // weights stream in
        for (size_t s = 0; s < V::kStrips; s++, ahead += w.strip_bytes()) {
            for (size_t line = 0; line < sizeof(Tile); line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
        }
#endif
        add_products<V, C, P>(v, tiles[b], rows, b, acc);
    }
    for (size_t s = 0; s < V::kStrips; s++) {
        const size_t first = (strip + s) * kStrip;
        const size_t count = w.rows() - first < kStrip ? w.rows() - first : kStrip;
        for (size_t c = 0; c < C; c++) store_strip(V::strip(acc[c], s), out.floats(token + c) + first, count);
    }
}

inline f32x8 load_column(const float* p) { return load(p); }
struct HalfBits {
    uint16_t bits;
};
struct BFloatBits {
    uint16_t bits;
};
inline f32x8 load_column(const HalfBits* p) { return load(&p->bits, Half{}); }
inline f32x8 load_column(const BFloatBits* p) { return load(&p->bits, BFloat{}); }

// Float weights: S strips × C tokens in flight hide the latency of the one chain of additions per result.
template <class Element, size_t S, size_t C>
void float_strips(const PackedMatrix& w, size_t strip, Rows x, size_t token, Rows out) {
    const Element* columns[S];
    const float* rows[C];
    f32x8 acc[S][C];
    for (size_t s = 0; s < S; s++) columns[s] = reinterpret_cast<const Element*>(w.strip(strip + s));
    for (size_t c = 0; c < C; c++) rows[c] = x.floats(token + c);
    for (auto& strip_acc : acc) {
        for (f32x8& a : strip_acc) a = splat(0);
    }
    for (size_t k = 0; k < w.columns(); k++) {
#pragma GCC unroll 4
        for (size_t s = 0; s < S; s++) {
            const f32x8 weights = load_column(columns[s] + k * kStrip);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) acc[s][c] = fma(weights, splat(rows[c][k]), acc[s][c]);
        }
    }
    for (size_t s = 0; s < S; s++) {
        const size_t first = (strip + s) * kStrip;
        const size_t count = w.rows() - first < kStrip ? w.rows() - first : kStrip;
        for (size_t c = 0; c < C; c++) store_strip(acc[s][c], out.floats(token + c) + first, count);
    }
}

// Calls block(strip, token) with as many tokens at a time as a template takes: C of them, then one by one fewer.
template <class V, class Tile, size_t C, size_t P>
void integer_tokens(const PackedMatrix& w, size_t strip, const Rows (&x)[P], size_t begin, size_t end, Rows out) {
    for (; begin + C <= end; begin += C) integer_strips<V, Tile, C, P>(w, strip, x, begin, out);
    if constexpr (C > 1) {
        if (begin < end) integer_tokens<V, Tile, C - 1, P>(w, strip, x, begin, end, out);
    }
}

template <class Element, size_t S, size_t C>
void float_tokens(const PackedMatrix& w, size_t strip, Rows x, size_t begin, size_t end, Rows out) {
    for (; begin + C <= end; begin += C) float_strips<Element, S, C>(w, strip, x, begin, out);
    if constexpr (C > 1) {
        if (begin < end) float_tokens<Element, S, C - 1>(w, strip, x, begin, end, out);
    }
}

// As many strips as V takes at a time; returns the first that is left.
template <class V, class Tile>
size_t integer_linear(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t strip, size_t last,
                      Rows out) {
    for (; strip + V::kStrips <= last; strip += V::kStrips) {
        if (rest.data == nullptr) {
            integer_tokens<V, Tile, kColumns, 1>(w, strip, {x}, begin, end, out);
        } else {
            integer_tokens<V, Tile, kColumns / 2, 2>(w, strip, {x, rest}, begin, end, out);
        }
    }
    return strip;
}

template <class Element>
void float_linear(const PackedMatrix& w, Rows x, size_t begin, size_t end, size_t first, size_t last, Rows out) {
    size_t strip = first;
    for (; strip + 4 <= last; strip += 4) float_tokens<Element, 4, 2>(w, strip, x, begin, end, out);
    for (; strip < last; strip++) float_tokens<Element, 1, kColumns>(w, strip, x, begin, end, out);
}

void linear(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t first, size_t last, Rows out) {
    switch (w.layout()) {
        case Layout::kF32: return float_linear<float>(w, x, begin, end, first, last, out);
        case Layout::kF16: return float_linear<HalfBits>(w, x, begin, end, first, last, out);
        case Layout::kBF16: return float_linear<BFloatBits>(w, x, begin, end, first, last, out);
        default:
            return with_tile(w.layout(), [&]<class Tile, class FileBlock>() {
#ifdef GADFLY_VNNI
                first = integer_linear<TwoStrips, Tile>(w, x, rest, begin, end, first, last, out);
#endif
                integer_linear<OneStrip, Tile>(w, x, rest, begin, end, first, last, out);
            });
    }
}

}  // namespace
}  // namespace gadfly

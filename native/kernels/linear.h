// Matrix times activations: a few strips of eight rows against a few tokens at a time, accumulators in registers.
//
// Here codes are multiplied as they are packed; kernels/panel.h has what pays for more tokens.
#pragma once

#include "kernels/floats.h"
#include "kernels/panel.h"

namespace gadfly {
namespace {

template <class V, class Tile, size_t C, size_t P>
void packed_strips(const PackedMatrix& w, size_t strip, const Rows (&x)[P], size_t token, Rows out) {
    const Tile* tiles = reinterpret_cast<const Tile*>(w.strip(strip));
    const V v(w.strip_bytes());
    const Int8Rows<C * P, P> tokens(x, token, w.columns());
    typename V::Floats acc[C];
    for (auto& a : acc) a = V::splat(0);
    for (size_t b = 0; b < w.columns() / Tile::kColumns; b++) {
#ifdef GADFLY_AVX2
        const char* ahead = reinterpret_cast<const char*>(tiles + b + kBlock / Tile::kColumns);  // weights stream in
        for (size_t s = 0; s < V::kStrips; s++, ahead += w.strip_bytes()) {
            for (size_t line = 0; line < sizeof(Tile); line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
        }
#endif
#pragma GCC unroll 1
        for (size_t t = 0; t < kTilesOf<Tile>; t++) {
            add_tile<P>(v, codes_of_tile(tiles[b], t), factors(v, tiles[b], t), tokens.rows, b * kTilesOf<Tile> + t,
                        acc);
        }
    }
    for (size_t c = 0; c < C; c++) store_strips<V>(w, strip, acc[c], out.floats(token + c));
}

// Calls block(strip, token) with as many tokens at a time as a template takes: C of them, then one by one fewer.
template <class V, class Tile, size_t C, size_t P>
void packed_tokens(const PackedMatrix& w, size_t strip, const Rows (&x)[P], size_t begin, size_t end, Rows out) {
    for (; begin + C <= end; begin += C) packed_strips<V, Tile, C, P>(w, strip, x, begin, out);
    if constexpr (C > 1) {
        if (begin < end) packed_tokens<V, Tile, C - 1, P>(w, strip, x, begin, end, out);
    }
}

// As many strips as V takes at a time; returns the first that is left.
template <class V, class Tile>
size_t integer_linear(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t strip, size_t last,
                      Rows out) {
    for (; strip + V::kStrips <= last; strip += V::kStrips) {
        if (rest.data == nullptr) {
            packed_tokens<V, Tile, kColumns, 1>(w, strip, {x}, begin, end, out);
        } else {
            packed_tokens<V, Tile, kColumns / 2, 2>(w, strip, {x, rest}, begin, end, out);
        }
    }
    return strip;
}

void linear(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t first, size_t last, Rows out) {
    switch (w.layout()) {
        case Layout::kF32: return float_linear<float>(w, x, begin, end, first, last, out);
        case Layout::kF16: return float_linear<uint16_t, Half>(w, x, begin, end, first, last, out);
        case Layout::kBF16: return float_linear<uint16_t, BFloat>(w, x, begin, end, first, last, out);
        default:
            return with_tile(w.layout(), [&]<class Tile, class FileBlock>() {
#ifdef GADFLY_VECTORS
                using Codes = typename Tile::Codes;
                if constexpr (unpacked_from<Codes>(1) != kNever) {
                    if (end - begin >= unpacked_from<Codes>(rest.data == nullptr ? 1 : 2)) {
                        return panel_linear<Tile>(w, x, rest, begin, end, first, last, out);
                    }
                }
#endif
#ifdef GADFLY_VNNI
                first = integer_linear<TwoStrips, Tile>(w, x, rest, begin, end, first, last, out);
#endif
                integer_linear<OneStrip, Tile>(w, x, rest, begin, end, first, last, out);
            });
    }
}

void add_linear(const PackedMatrix& w, Rows x, const float* factors, size_t begin, size_t end, size_t first,
                size_t last, Rows out) {
    switch (w.layout()) {
        case Layout::kF32: return add_float_linear<Column<float>>(w, x, factors, begin, end, first, last, out);
        case Layout::kF16: return add_float_linear<Column<uint16_t, Half>>(w, x, factors, begin, end, first, last, out);
        default: return add_float_linear<Column<uint16_t, BFloat>>(w, x, factors, begin, end, first, last, out);
    }
}

}  // namespace
}  // namespace gadfly

// Many tokens: codes and factors of some strips are unpacked first, a panel of 256 columns at a time, which all tokens
// then meet while it is in the first-level cache. Sums are the same as without, and in the same order.
#pragma once

#include <type_traits>
#include <utility>

#include "kernels/factors.h"

namespace gadfly {
namespace {

constexpr size_t kNever = SIZE_MAX;

#ifdef GADFLY_VNNI
constexpr size_t kColumns = 8;  // rows of activations that share one pass over a strip
#elif defined(GADFLY_NEON)
constexpr size_t kColumns = 4;  // sums take two registers
constexpr size_t kNibbles = kNever;
#else
constexpr size_t kColumns = 6;
constexpr size_t kNibbles = 24;  // tokens from which on unpacking nibbles pays
#endif

#ifdef GADFLY_VECTORS

// From how many tokens on, of so many int8 rows each, unpacking pays. Without VNNI, bytes are used as fast as they are
// read, and nibbles nearly so.
template <class Codes>
constexpr size_t unpacked_from([[maybe_unused]] size_t rows) {
#ifndef GADFLY_VNNI
    if (Codes::range == Range::kInt8) return kNever;
    if (std::is_same_v<Codes, FourBits>) return rows == 1 ? kNibbles : kNever;
#endif
    return kColumns + 1;
}

// Up to 256 columns of some strips with a byte for each code and a float for each factor.
template <class V, class Tile>
struct Panel {
    using Codes = Unpacked<V, unpacked(Tile::Codes::range)>;
    Codes codes[kBlockTiles];
    decltype(factors(std::declval<V>(), std::declval<const Tile&>(), 0)) factors_of[kBlockTiles];
    size_t first, count;  // tiles of the strip

    Panel(V v, const Tile* tiles, size_t first_tile, size_t all) : first(first_tile) {
        count = all - first < kBlockTiles ? all - first : kBlockTiles;
        for (size_t t = 0; t < count; t++) {
            const Tile& w = tiles[(first + t) / kTilesOf<Tile>];
            const auto& packed = codes_of_tile(w, t % kTilesOf<Tile>);
#pragma GCC unroll 8
            for (size_t g = 0; g < kTile / 4; g++) V::put(codes[t].bytes[g], unpack(v, packed, g));
            factors_of[t] = factors(v, w, t % kTilesOf<Tile>);
        }
    }
};

// Adds the products of tokens [begin, end), of which `sums` has the first.
template <size_t C, size_t P, class V, class Tile>
void add_panel(V v, const Panel<V, Tile>& panel, const Rows (&x)[P], size_t width, size_t begin, size_t end,
               typename V::Floats* sums) {
    for (; begin + C <= end; begin += C, sums += C) {
        const Int8Rows<C * P, P> tokens(x, begin, width);
        typename V::Floats acc[C];
#pragma GCC unroll 16
        for (size_t c = 0; c < C; c++) acc[c] = sums[c];
        for (size_t t = 0; t < panel.count; t++) {
            add_tile<P>(v, panel.codes[t], panel.factors_of[t], tokens.rows, panel.first + t, acc);
        }
#pragma GCC unroll 16
        for (size_t c = 0; c < C; c++) sums[c] = acc[c];
    }
    if constexpr (C > 1) {
        if (begin < end) add_panel<fewer(C), P>(v, panel, x, width, begin, end, sums);
    }
}

template <class V, class Tile, size_t C, size_t P>
void unpacked_strips(const PackedMatrix& w, size_t strip, const Rows (&x)[P], size_t begin, size_t end, Rows out) {
    const Tile* tiles = reinterpret_cast<const Tile*>(w.strip(strip));
    const V v(w.strip_bytes());
    typename V::Floats sums[kTokens];
    for (size_t token = begin; token < end; token++) sums[token - begin] = V::splat(0);
    for (size_t tile = 0; tile < w.columns() / kTile; tile += kBlockTiles) {
        const Panel<V, Tile> panel(v, tiles, tile, w.columns() / kTile);
        add_panel<C, P>(v, panel, x, w.columns(), begin, end, sums);
    }
    for (size_t token = begin; token < end; token++) store_strips<V>(w, strip, sums[token - begin], out.floats(token));
}

// As many strips as V takes at a time; returns the first that is left.
template <class V, class Tile>
size_t panel_strips(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t strip, size_t last,
                    Rows out) {
    constexpr size_t C = V::kStrips == 4 ? 4 : kColumns;
    for (; strip + V::kStrips <= last; strip += V::kStrips) {
        for (size_t first = begin; first < end; first += kTokens) {
            const size_t stop = first + kTokens < end ? first + kTokens : end;
            if (rest.data == nullptr) {
                unpacked_strips<V, Tile, C, 1>(w, strip, {x}, first, stop, out);
            } else {
                unpacked_strips<V, Tile, C / 2, 2>(w, strip, {x, rest}, first, stop, out);
            }
        }
    }
    return strip;
}

template <class Tile>
void panel_linear(const PackedMatrix& w, Rows x, Rows rest, size_t begin, size_t end, size_t first, size_t last,
                  Rows out) {
#ifdef GADFLY_VNNI
    first = panel_strips<PairOf<TwoStrips>, Tile>(w, x, rest, begin, end, first, last, out);
    first = panel_strips<TwoStrips, Tile>(w, x, rest, begin, end, first, last, out);
#endif
    panel_strips<OneStrip, Tile>(w, x, rest, begin, end, first, last, out);
}

#endif

}  // namespace
}  // namespace gadfly

// Float weights times float activations: products are added one column after another, in one chain per result.
#pragma once

#include "kernels/strips.h"

namespace gadfly {
namespace {

// Few tokens: S strips in flight hide the latency of the chains.
template <class Element, class... Kind>
struct Column {
    static f32x8 load(const std::byte* strip, size_t k) {
        return gadfly::load(reinterpret_cast<const Element*>(strip) + k * kStrip, Kind{}...);
    }
};

// Calls put(strip, token, sums) for each of S strips and C tokens.
template <class Column, size_t S, size_t C, class Put>
void float_strips(const PackedMatrix& w, size_t strip, Rows x, size_t token, Put put) {
    const std::byte* strips[S];
    const float* rows[C];
    f32x8 acc[S][C];
    for (size_t s = 0; s < S; s++) strips[s] = w.strip(strip + s);
    for (size_t c = 0; c < C; c++) rows[c] = x.floats(token + c);
    for (auto& strip_acc : acc) {
        for (f32x8& a : strip_acc) a = splat(0);
    }
    for (size_t k = 0; k < w.columns(); k++) {
#pragma GCC unroll 4
        for (size_t s = 0; s < S; s++) {
            const f32x8 weights = Column::load(strips[s], k);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; c++) acc[s][c] = fma(weights, splat(rows[c][k]), acc[s][c]);
        }
    }
#pragma GCC unroll 4
    for (size_t s = 0; s < S; s++) {
#pragma GCC unroll 8
        for (size_t c = 0; c < C; c++) put(strip + s, token + c, acc[s][c]);
    }
}

template <class Column, size_t S>
size_t few_tokens(const PackedMatrix& w, Rows x, size_t begin, size_t end, size_t strip, size_t last, Rows out) {
    for (; strip + S <= last; strip += S) {
        const auto put = [&](size_t s, size_t token, f32x8 sums) {
            store_strips<OneStrip>(w, s, sums, out.floats(token));
        };
        size_t token = begin;
        for (; token + 2 <= end; token += 2) float_strips<Column, S, 2>(w, strip, x, token, put);
        if (token < end) float_strips<Column, S, 1>(w, strip, x, token, put);
    }
    return strip;
}

// Of few columns, so what sums begin and end with has to cost little.
template <class Column, size_t S, size_t C>
void add_tokens(const PackedMatrix& w, size_t strip, Rows x, size_t begin, size_t end, const float* factors, Rows out) {
    const auto put = [&](size_t s, size_t token, f32x8 sums) {
        const size_t first = s * kStrip;
        add_strip(sums, splat(factors[token - begin]), out.floats(token) + first, std::min(w.rows() - first, kStrip));
    };
    size_t token = begin;
    for (; token + C <= end; token += C) float_strips<Column, S, C>(w, strip, x, token, put);
    if constexpr (C > 1) {
        if (token < end) add_tokens<Column, S, C / 2>(w, strip, x, token, end, factors + (token - begin), out);
    }
}

#ifdef GADFLY_VECTORS

// Columns of some strips as floats, side by side.
constexpr size_t kPanelColumns = 128;
template <class V>
struct FloatPanel {
    alignas(64) float weights[kPanelColumns][V::kStrips * kStrip];
};

template <size_t C, class V>
void add_panel(const FloatPanel<V>& panel, size_t first, size_t count, Rows x, size_t begin, size_t end,
               typename V::Floats* sums) {
    for (; begin + C <= end; begin += C, sums += C) {
        const float* rows[C];
        typename V::Floats acc[C];
#pragma GCC unroll 16
        for (size_t c = 0; c < C; c++) {
            rows[c] = x.floats(begin + c) + first;
            acc[c] = sums[c];
        }
        for (size_t k = 0; k < count; k++) {
            const auto weights = V::whole(panel.weights[k]);
#pragma GCC unroll 16
            for (size_t c = 0; c < C; c++) acc[c] = fma(weights, V::splat(rows[c][k]), acc[c]);
        }
#pragma GCC unroll 16
        for (size_t c = 0; c < C; c++) sums[c] = acc[c];
    }
    if constexpr (C > 1) {
        if (begin < end) add_panel<fewer(C)>(panel, first, count, x, begin, end, sums);
    }
}

template <class V, size_t C, class Element, class... Kind>
size_t many_tokens(const PackedMatrix& w, Rows x, size_t begin, size_t end, size_t strip, size_t last, Rows out) {
    const V v(w.strip_bytes());
    for (; strip + V::kStrips <= last; strip += V::kStrips) {
        const auto* weights = reinterpret_cast<const Element*>(w.strip(strip));
        for (size_t token = begin; token < end; token += kTokens) {
            const size_t stop = token + kTokens < end ? token + kTokens : end;
            typename V::Floats sums[kTokens];
            for (size_t i = 0; i < stop - token; i++) sums[i] = V::splat(0);
            for (size_t first = 0; first < w.columns(); first += kPanelColumns) {
                const size_t count = w.columns() - first < kPanelColumns ? w.columns() - first : kPanelColumns;
                FloatPanel<V> panel;
                for (size_t k = 0; k < count; k++) {
                    V::put(panel.weights[k], v.load(weights + (first + k) * kStrip, Kind{}...));
                }
                add_panel<C>(panel, first, count, x, token, stop, sums);
            }
            for (size_t i = 0; i < stop - token; i++) store_strips<V>(w, strip, sums[i], out.floats(token + i));
        }
    }
    return strip;
}

#endif

template <class Element, class... Kind>
void float_linear(const PackedMatrix& w, Rows x, size_t begin, size_t end, size_t first, size_t last, Rows out) {
#ifdef GADFLY_VECTORS
    if (end - begin > 2) {
#ifdef GADFLY_VNNI
        first = many_tokens<PairOf<TwoStrips>, 8, Element, Kind...>(w, x, begin, end, first, last, out);
#endif
        first = many_tokens<PairOf<OneStrip>, 6, Element, Kind...>(w, x, begin, end, first, last, out);
        first = many_tokens<OneStrip, 8, Element, Kind...>(w, x, begin, end, first, last, out);
    }
#endif
    first = few_tokens<Column<Element, Kind...>, 4>(w, x, begin, end, first, last, out);
    few_tokens<Column<Element, Kind...>, 1>(w, x, begin, end, first, last, out);
}

template <class Column>
void add_float_linear(const PackedMatrix& w, Rows x, const float* factors, size_t begin, size_t end, size_t strip,
                      size_t last, Rows out) {
    for (; strip + 2 <= last; strip += 2) add_tokens<Column, 2, 4>(w, strip, x, begin, end, factors, out);
    if (strip < last) add_tokens<Column, 1, 8>(w, strip, x, begin, end, factors, out);
}

}  // namespace
}  // namespace gadfly

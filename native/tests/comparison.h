// Every table of kernels that this processor can execute against the portable one, which does the same lane by lane:
// their results are the same bits. Only which NaN a NaN is may differ.
#pragma once

#include <bit>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tests/random.h"

namespace gadfly {

inline bool same(float a, float b) {
    return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}
template <class Integer>
bool same(Integer a, Integer b) {
    return a == b;
}

struct Comparison {
    const Kernels &portable, &kernels;
    size_t results = 0, differences = 0;

    // compute(table) returns a vector of floats or integers.
    template <class Compute>
    void operator()(const std::string& what, Compute compute) {
        const auto expected = compute(portable), found = compute(kernels);
        results += expected.size();
        size_t different = 0, first = 0;
        for (size_t i = expected.size(); i-- > 0;) {
            if (same(expected[i], found[i])) continue;
            different++;
            first = i;
        }
        if (different == 0) return;
        differences += different;
        std::printf("%s, %s: %zu of %zu differ, the first at %zu: %.9g instead of %.9g\n", kernels.name.data(),
                    what.c_str(), different, expected.size(), first, static_cast<double>(found[first]),
                    static_cast<double>(expected[first]));
    }
};

// For a test's main(): what it returns.
template <class Test>
int compare_kernels(const char* subject, Test test) {
    constexpr int kNothingToCompare = 77;  // ctest calls it skipped
    const std::vector<const Kernels*> available = available_kernels();
    bool equal = true;
    for (const Kernels* kernels : available) {
        if (kernels == available.back()) break;  // portable
        Comparison compare{*available.back(), *kernels};
        Random random(1);
        test(compare, random);
        std::printf("%s: %zu of %zu results of %s are those of portable\n", subject,
                    compare.results - compare.differences, compare.results, kernels->name.data());
        equal = equal && compare.results > 0 && compare.differences == 0;
    }
    if (available.size() == 1) {
        std::printf("%s: this processor executes portable kernels alone\n", subject);
        return kNothingToCompare;
    }
    return equal ? 0 : 1;
}

}  // namespace gadfly

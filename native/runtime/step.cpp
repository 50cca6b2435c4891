#include "runtime/step.h"

#include <algorithm>
#include <cmath>

#include "runtime/require.h"

namespace gadfly {
namespace {

// From 0 to `end`: one bound per sequence, and one more.
bool divides(const std::vector<int32_t>& bounds, size_t end) {
    return bounds.size() >= 2 && bounds.front() == 0 && std::is_sorted(bounds.begin(), bounds.end()) &&
           static_cast<size_t>(bounds.back()) == end;
}

bool all_below(const std::vector<int32_t>& numbers, size_t end) {
    return std::all_of(numbers.begin(), numbers.end(),
                       [end](int32_t number) { return number >= 0 && static_cast<size_t>(number) < end; });
}

}  // namespace

void Step::check(size_t vocab) const {
    require(!tokens.empty() && positions.size() == tokens.size(), "a step has tokens, each with a position");
    require(all_below(tokens, vocab), "a token outside the vocabulary");
    require(all_below(wanted, tokens.size()), "a wanted row outside the step");
    require(strengths.size() % tokens.size() == 0, "an adapter has a strength for every token");
    require(std::all_of(strengths.begin(), strengths.end(), [](float strength) { return std::isfinite(strength); }),
            "a strength that is no finite number");
    require(
        divides(starts, tokens.size()) && divides(page_starts, page_ids.size()) && page_starts.size() == starts.size(),
        "sequences have to cover the step's tokens and pages, in order");
    for (size_t s = 0; s + 1 < starts.size(); s++) {
        const auto first = static_cast<size_t>(starts[s]), end = static_cast<size_t>(starts[s + 1]);
        require(first < end, "a sequence without tokens");
        require(positions[first] >= 0, "a negative position");
        for (size_t row = first + 1; row < end; row++) {
            require(int64_t{positions[row]} == int64_t{positions[row - 1]} + 1, "positions that are not consecutive");
        }
    }
}

void Step::check_pages(size_t pages, size_t page_size) const {
    require(all_below(page_ids, pages), "a page outside the cache");
    for (size_t s = 0; s + 1 < starts.size(); s++) {
        const auto own = static_cast<size_t>(page_starts[s + 1] - page_starts[s]);
        const auto last = static_cast<size_t>(positions[static_cast<size_t>(starts[s + 1]) - 1]);
        require(last / page_size < own, "a position beyond its sequence's pages");
    }
}

}  // namespace gadfly

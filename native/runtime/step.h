// The numbers of one step: see gadfly/batch.py for the meaning of the arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gadfly {

enum class RowsOf : uint8_t { kTokens, kWanted };  // a row per token, or per token whose logits are wanted

struct Step {
    std::vector<int32_t> tokens, positions, starts, page_ids, page_starts, wanted;
    std::vector<float> strengths;  // of the first adapter for every token, of the second, …

    size_t rows(RowsOf which) const { return which == RowsOf::kTokens ? tokens.size() : wanted.size(); }
    size_t adapters() const { return strengths.size() / tokens.size(); }
    float strength(size_t adapter, RowsOf which, size_t row) const {
        const size_t token = which == RowsOf::kTokens ? row : static_cast<size_t>(wanted[row]);
        return strengths[adapter * tokens.size() + token];
    }

    // Throws std::invalid_argument unless the arrays fit one another, and tokens are below `vocab`.
    void check(size_t vocab) const;
    // Throws std::invalid_argument unless the pages are among `pages` and hold all positions. The rest has been
    // checked.
    void check_pages(size_t pages, size_t page_size) const;
};

}  // namespace gadfly

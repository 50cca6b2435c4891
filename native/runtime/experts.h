// How tokens are dealt to experts, and what becomes of the results.
//
//     route    which experts a token goes to, and their weights
//     group    an order of all (token, expert) pairs in which each expert's tokens are neighbours: "dealt" rows
//     deal     copies tokens' rows into that order
//     fetch    begins to read what experts on disk need (runtime/expert_store.h)
//     mixture  multiplies each expert's rows with its matrices (runtime/mixture.h)
//     combine  sums a token's results, in the order its router chose them
//
// A dealt buffer has `selected` rows per token of the step.
#pragma once

#include <memory>
#include <vector>

#include "runtime/expert_store.h"
#include "runtime/instructions.h"

namespace gadfly {

// One of a token's experts.
struct Choice {
    size_t expert;
    float weight;
};

// Who goes where. Written by `route`, `group` and `fetch`, read by the others, anew in each step.
struct Deal {
    struct Block {  // neighbouring dealt rows of an expert, who has a place among those that are busy
        size_t expert, place, begin, end;
    };
    static constexpr size_t kBlock = 96;  // rows, whose activations stay in the second-level cache

    Deal(size_t expert_count, size_t per_token) : experts(expert_count), selected(per_token), used(expert_count) {}

    size_t blocks_of(size_t expert) const { return (starts[expert + 1] - starts[expert] + kBlock - 1) / kBlock; }
    size_t most_blocks(const Step& step) const;              // that there can be
    void divide(const std::vector<size_t>& order) noexcept;  // into blocks, of one expert after another

    size_t experts, selected;
    std::vector<size_t> used;     // tokens each expert has been given, over all steps
    std::vector<Choice> choices;  // of pair token · selected + rank, the best first
    std::vector<size_t> starts;   // of each expert's dealt rows, and their end
    std::vector<size_t> row_of;   // the dealt row of each pair
    std::vector<size_t> busy;     // experts that have been dealt rows, ascending
    std::vector<Block> blocks;    // of theirs, in the order in which they are computed
    bool taken = false;           // by a router
};
using SharedDeal = std::shared_ptr<Deal>;

// logits are (experts); the softmax over all of them at the largest `selected`, ties to the lower index. Renormalised,
// these sum to one.
std::unique_ptr<Instruction> make_route(size_t logits, bool renormalised, SharedDeal deal);
std::unique_ptr<Instruction> make_group(SharedDeal deal);
std::unique_ptr<Instruction> make_deal(size_t x, size_t row_bytes, SharedDeal deal, size_t out);
std::unique_ptr<Instruction> make_fetch(SharedDeal deal, std::vector<SharedStack> stacks);  // all of the layer
std::unique_ptr<Instruction> make_combine(size_t x, size_t width, SharedDeal deal, size_t out);

}  // namespace gadfly

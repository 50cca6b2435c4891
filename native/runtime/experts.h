// The instructions of a mixture of experts: tokens are dealt to experts, multiplied expert by expert, and summed up.
//
//     route    which experts a token goes to, and their weights
//     group    an order of all (token, expert) pairs in which each expert's tokens are neighbours: "dealt" rows
//     deal     copies tokens' rows into that order
//     expert   multiplies each expert's rows with its matrix
//     combine  sums a token's results, in the order its router chose them
//
// A dealt buffer has `selected` rows per token of the step.
#pragma once

#include <memory>
#include <vector>

#include "runtime/instructions.h"

namespace gadfly {

// A token's choice: as many as selected, best first.
struct Choice {
    int32_t expert;
    float weight;
};

// Where each pair is among the dealt rows. Written by `group`, read by the others, anew in each step.
struct Deal {
    size_t experts, selected;
    std::vector<size_t> starts;  // of each expert's rows, and their end: (experts + 1)
    std::vector<size_t> row_of;  // of pair token · selected + rank
    std::vector<size_t> used;    // how many tokens each expert has been given so far, over all steps
};
using SharedDeal = std::shared_ptr<Deal>;

// logits are (experts); the softmax over all of them at the largest `selected`, ties to the lower index.
std::unique_ptr<Instruction> make_route(size_t logits, const SharedDeal& deal, size_t out);
std::unique_ptr<Instruction> make_group(size_t choices, const SharedDeal& deal);
std::unique_ptr<Instruction> make_deal(size_t x, size_t row_bytes, const SharedDeal& deal, size_t out);
std::unique_ptr<Instruction> make_expert(size_t x, size_t row_bytes, std::vector<Matrix> weights,
                                         const SharedDeal& deal, size_t out);
std::unique_ptr<Instruction> make_combine(size_t x, size_t choices, size_t width, const SharedDeal& deal, size_t out);

}  // namespace gadfly

// The instructions of a model without experts whose layers stay on disk: see runtime/expert_store.h.
//
//     fetch   at the begin of a step: matrices are read in the order in which they are going to be needed
//     linear  multiplies with one of them once it is there
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/expert_store.h"
#include "runtime/instructions.h"

namespace gadfly {

std::unique_ptr<Instruction> make_fetch_layers(std::vector<SharedStack> stacks);
// As `linear`, to the bit, of a stack of one matrix; `fetch_layers`, of all stacks of the program, has run before.
std::unique_ptr<Instruction> make_stored_linear(RowsOf rows, size_t x, std::optional<size_t> rest, SharedStack stack,
                                                size_t out);

}  // namespace gadfly

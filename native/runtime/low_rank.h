// What adapters add to a product, for the rows in which they are on (Hu et al., arXiv 2106.09685).
//
//     t = down · x        out += strength · scale · up · t
//
// Rows where an adapter's strength is zero are neither read nor written. Sums run as in any product with a float
// matrix.
#pragma once

#include <memory>

#include "runtime/instructions.h"

namespace gadfly {

std::unique_ptr<Instruction> make_down(RowsOf rows, size_t x, Matrix matrix, size_t adapter, size_t out);
// Changes `out`.
std::unique_ptr<Instruction> make_up(RowsOf rows, size_t x, Matrix matrix, size_t adapter, float scale, size_t out);

}  // namespace gadfly

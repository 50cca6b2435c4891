// An instruction whose work is the same independent thing for every row.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "runtime/program.h"

namespace gadfly {

template <class Compute>
class PerRow final : public Instruction {
  public:
    PerRow(RowsOf rows, Compute compute, size_t scratch_bytes)
        : rows_(rows), compute_(std::move(compute)), scratch_bytes_(scratch_bytes) {}

    size_t units(const Step& step, size_t threads) const override { return std::min(step.rows(rows_), 4 * threads); }
    size_t scratch_bytes() const override { return scratch_bytes_; }
    void run(const Context& c, size_t unit) const noexcept override {  // a unit is a stretch of rows
        const size_t rows = c.step.rows(rows_), all = units(c.step, c.threads);
        for (size_t row = unit * rows / all; row < (unit + 1) * rows / all; row++) compute_(c, row);
    }

  private:
    RowsOf rows_;
    Compute compute_;
    size_t scratch_bytes_;
};

// Calls compute(context, row) for every row.
template <class Compute>
std::unique_ptr<Instruction> per_row(RowsOf rows, Compute compute, size_t scratch_bytes = 0) {
    return std::make_unique<PerRow<Compute>>(rows, std::move(compute), scratch_bytes);
}

}  // namespace gadfly

#include "runtime/low_rank.h"

#include <algorithm>
#include <vector>

#include "runtime/stretches.h"

namespace gadfly {
namespace {

// A unit is a stretch of the matrix' strips and a run of rows in which the adapter is on.
class OfAdapter : public Instruction {
  public:
    OfAdapter(RowsOf rows, size_t x, Matrix matrix, size_t adapter, size_t out)
        : rows_(rows), x_(x), matrix_(std::move(matrix)), adapter_(adapter), out_(out) {}

    void prepare(const Step& step, size_t) final {
        runs_.clear();
        if (adapter_ >= step.adapters()) return;
        for (size_t row = 0; row < step.rows(rows_); row++) {
            if (step.strength(adapter_, rows_, row) == 0) continue;
            if (runs_.empty() || runs_.back().end != row || row - runs_.back().begin == kRows)
                runs_.push_back({row, row});
            runs_.back().end = row + 1;
        }
    }
    size_t units(const Step&, size_t threads) const final {
        return runs_.size() * Stretches(matrix_->strips(), threads).count();
    }
    void run(const Context& c, size_t unit) const noexcept final {
        const Stretches stretches(matrix_->strips(), c.threads);
        const Run& run = runs_[unit / stretches.count()];
        const size_t stretch = unit % stretches.count();
        compute(c, run.begin, run.end, stretches.first(stretch), stretches.last(stretch));
    }

  protected:
    // Of rows [begin, end) and strips [first, last).
    virtual void compute(const Context& c, size_t begin, size_t end, size_t first, size_t last) const noexcept = 0;

    static constexpr size_t kRows = 96;  // whose activations stay in the second-level cache

    struct Run {
        size_t begin, end;
    };
    RowsOf rows_;
    size_t x_;
    Matrix matrix_;
    size_t adapter_, out_;
    std::vector<Run> runs_;  // of the step at hand
};

class Down final : public OfAdapter {
  public:
    using OfAdapter::OfAdapter;

  private:
    void compute(const Context& c, size_t begin, size_t end, size_t first, size_t last) const noexcept override {
        c.kernels.linear(*matrix_, c.buffers[x_], {}, begin, end, first, last, c.buffers[out_]);
    }
};

class Up final : public OfAdapter {
  public:
    Up(RowsOf rows, size_t x, Matrix matrix, size_t adapter, float scale, size_t out)
        : OfAdapter(rows, x, std::move(matrix), adapter, out), scale_(scale) {}

  private:
    void compute(const Context& c, size_t begin, size_t end, size_t first, size_t last) const noexcept override {
        float factors[kRows];
        for (size_t row = begin; row < end; row++)
            factors[row - begin] = c.step.strength(adapter_, rows_, row) * scale_;
        c.kernels.add_linear(*matrix_, c.buffers[x_], factors, begin, end, first, last, c.buffers[out_]);
    }

    float scale_;
};

}  // namespace

std::unique_ptr<Instruction> make_down(RowsOf rows, size_t x, Matrix matrix, size_t adapter, size_t out) {
    return std::make_unique<Down>(rows, x, std::move(matrix), adapter, out);
}

std::unique_ptr<Instruction> make_up(RowsOf rows, size_t x, Matrix matrix, size_t adapter, float scale, size_t out) {
    return std::make_unique<Up>(rows, x, std::move(matrix), adapter, scale, out);
}

}  // namespace gadfly

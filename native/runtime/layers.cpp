#include "runtime/layers.h"

#include <algorithm>

#include "runtime/stretches.h"

namespace gadfly {
namespace {

class FetchLayers final : public Instruction {
  public:
    explicit FetchLayers(std::vector<SharedStack> stacks) : stacks_(std::move(stacks)) {}

    size_t units(const Step&, size_t) const override { return 1; }
    void run(const Context& c, size_t) const noexcept override { stacks_.front()->store.fetch_all(stacks_, c.threads); }

  private:
    std::vector<SharedStack> stacks_;
};

// A unit is a stretch of the matrix's strips, for all rows.
class StoredLinear final : public Instruction {
  public:
    StoredLinear(RowsOf rows, size_t x, std::optional<size_t> rest, SharedStack stack, size_t out)
        : rows_(rows), x_(x), rest_(rest), stack_(std::move(stack)), out_(out) {}

    size_t units(const Step&, size_t threads) const override { return ExpertStore::parts(*stack_, threads); }

    void run(const Context& c, size_t unit) const noexcept override {
        multiply(c, unit);
        stack_->store.finish_part(*stack_, 0);
    }

  private:
    static constexpr size_t kTokens = 96;  // activations of a block stay in the second-level cache

    void multiply(const Context& c, size_t part) const noexcept {
        const std::byte* const packed = stack_->store.wait(*stack_, 0);
        const PackedMatrix w(stack_->layout, stack_->rows, stack_->columns, nullptr, packed);
        const Stretches stretches(w.strips(), c.threads);
        if (packed == nullptr || part >= stretches.count()) return;
        for (size_t begin = 0, all = c.step.rows(rows_); begin < all; begin += kTokens) {
            c.kernels.linear(w, c.buffers[x_], rest_ ? c.buffers[*rest_] : Rows{}, begin,
                             std::min(begin + kTokens, all), stretches.first(part), stretches.last(part),
                             c.buffers[out_]);
        }
    }

    RowsOf rows_;
    size_t x_;
    std::optional<size_t> rest_;
    SharedStack stack_;
    size_t out_;
};

}  // namespace

std::unique_ptr<Instruction> make_fetch_layers(std::vector<SharedStack> stacks) {
    return std::make_unique<FetchLayers>(std::move(stacks));
}

std::unique_ptr<Instruction> make_stored_linear(RowsOf rows, size_t x, std::optional<size_t> rest, SharedStack stack,
                                                size_t out) {
    return std::make_unique<StoredLinear>(rows, x, rest, std::move(stack), out);
}

}  // namespace gadfly

#include "runtime/layers.h"

#include <algorithm>
#include <atomic>

#include "runtime/stretches.h"

namespace gadfly {
namespace {

class FetchLayers final : public Instruction {
  public:
    explicit FetchLayers(std::vector<SharedStack> stacks) : stacks_(std::move(stacks)) {}

    size_t units(const Step&, size_t) const override { return 1; }
    void run(const Context&, size_t) const noexcept override { stacks_.front()->store.fetch_all(stacks_); }

  private:
    std::vector<SharedStack> stacks_;
};

// A unit is a stretch of the matrix's strips, for all rows.
class StoredLinear final : public Instruction {
  public:
    StoredLinear(RowsOf rows, size_t x, std::optional<size_t> rest, SharedStack stack, size_t out)
        : rows_(rows), x_(x), rest_(rest), stacks_{std::move(stack)}, out_(out) {}

    void prepare(const Step&, size_t threads) override { left_ = stretches(threads).count(); }
    size_t units(const Step&, size_t threads) const override { return stretches(threads).count(); }

    void run(const Context& c, size_t unit) const noexcept override {
        multiply(c, unit);
        if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) stack().store.finish(stacks_, 0);
    }

  private:
    static constexpr size_t kTokens = 96;  // activations of a block stay in the second-level cache

    ExpertStack& stack() const { return *stacks_.front(); }
    Stretches stretches(size_t threads) const { return {(stack().rows - 1) / kStrip + 1, threads}; }

    void multiply(const Context& c, size_t part) const noexcept {
        const std::byte* const packed = stack().store.wait(stack(), 0);
        if (packed == nullptr) return;
        const PackedMatrix w(stack().layout, stack().rows, stack().columns, nullptr, packed);
        const Stretches parts = stretches(c.threads);
        for (size_t begin = 0, all = c.step.rows(rows_); begin < all; begin += kTokens) {
            c.kernels.linear(w, c.buffers[x_], rest_ ? c.buffers[*rest_] : Rows{}, begin,
                             std::min(begin + kTokens, all), parts.first(part), parts.last(part), c.buffers[out_]);
        }
    }

    RowsOf rows_;
    size_t x_;
    std::optional<size_t> rest_;
    std::vector<SharedStack> stacks_;  // one
    size_t out_;
    mutable std::atomic<size_t> left_{0};  // units of this step
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

#include "runtime/mixture.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "formats/size.h"
#include "runtime/stretches.h"

namespace gadfly {
namespace {

constexpr size_t kGate = 0, kUp = 1, kDown = 2;

class ResidentExperts final : public Experts {
  public:
    explicit ResidentExperts(std::array<std::vector<Matrix>, 3> matrices)
        : Experts({shape(*matrices[kGate][0]), shape(*matrices[kUp][0]), shape(*matrices[kDown][0])}),
          matrices_(std::move(matrices)) {}

    const std::byte* packed(size_t which, const Deal::Block& of) const noexcept override {
        return matrices_[which][of.expert]->strip(0);
    }

  private:
    static Shape shape(const PackedMatrix& one) { return {one.layout(), one.rows(), one.columns()}; }

    std::array<std::vector<Matrix>, 3> matrices_;
};

class StoredExperts final : public Experts {
  public:
    explicit StoredExperts(std::vector<SharedStack> stacks)
        : Experts({shape(*stacks[kGate]), shape(*stacks[kUp]), shape(*stacks[kDown])}), stacks_(std::move(stacks)) {}

    const std::byte* packed(size_t which, const Deal::Block& of) const noexcept override {
        return store().wait(*stacks_[which], of.place);
    }
    void finish(const Deal::Block& of) const noexcept override { store().finish(stacks_, of.place); }

  private:
    static Shape shape(const ExpertStack& stack) { return {stack.layout, stack.rows, stack.columns}; }
    ExpertStore& store() const { return stacks_.front()->store; }

    std::vector<SharedStack> stacks_;
};

// Rows of a packed matrix, which begin and end with strips or at its end.
PackedMatrix rows_of(const Experts::Shape& shape, const std::byte* packed, size_t first, size_t last) {
    const size_t strip = packed_bytes(shape.layout, kStrip, shape.columns);
    return {shape.layout, last - first, shape.columns, nullptr, packed + first / kStrip * strip};
}

// Rows of a buffer from one on; none if there is no buffer.
Rows rows_from(const Context& c, std::optional<size_t> buffer, size_t row_bytes, size_t first) {
    return buffer ? Rows{c.buffers[*buffer].data + first * row_bytes, row_bytes} : Rows{nullptr, row_bytes};
}

class Mixture final : public Instruction {
  public:
    Mixture(Dealt gate, Dealt up, std::unique_ptr<Experts> experts, Activation activation, SharedDeal deal,
            Hidden hidden, size_t out)
        : gate_(gate),
          up_(up),
          experts_(std::move(experts)),
          activation_(activation),
          deal_(std::move(deal)),
          hidden_(hidden),
          out_(out),
          finished_(std::make_unique<Count[]>(deal_->experts)) {}

    void prepare(const Step& step, size_t threads) override {
        if (const size_t most = deal_->most_blocks(step); most > most_) {
            hid_ = std::make_unique<Count[]>(most);
            reduced_ = std::make_unique<Count[]>(most);
            most_ = most;
        }
        for (size_t b = 0; b < most_; b++) hid_[b] = reduced_[b] = 0;
        for (size_t e = 0; e < deal_->experts; e++) finished_[e] = 0;
        next_ = 0;
        in_turns_ = step.tokens.size() > hidden_tokens(deal_->selected);
        rows_ = std::min(product({step.tokens.size(), deal_->selected}), Deal::kBlock);
        stretches_ = std::min((width() - 1) / kTile + 1, 8 * threads);
    }
    size_t units(const Step& step, size_t threads) const override {
        return product({deal_->most_blocks(step) + 1, stretches_ + results(threads).count()});
    }
    size_t scratch_bytes() const override {  // gates and ups
        return product({2, rows_, ((width() - 1) / kTile / stretches_ + 1) * kTile, sizeof(float)});
    }

    void run(const Context& c, size_t) const noexcept override {
        const size_t reducers = results(c.threads).count(), all = stretches_ + reducers;
        const size_t task = next_.fetch_add(1, std::memory_order_relaxed), turn = task / all, part = task % all;
        const size_t blocks = deal_->blocks.size();
        if (part < stretches_) {
            if (turn < blocks) hide(c, turn, part, reducers);
        } else if (turn > 0 && turn <= blocks) {
            reduce(c, turn - 1, part - stretches_, reducers);
        }
    }

  private:
    using Count = std::atomic<uint32_t>;

    size_t width() const { return experts_->gate().rows; }
    Stretches results(size_t threads) const { return {(experts_->down().rows - 1) / kStrip + 1, threads}; }
    size_t first_hidden(size_t block) const {
        return in_turns_ ? block % kHiddenBlocks * Deal::kBlock : deal_->blocks[block].begin;
    }

    void hide(const Context& c, size_t number, size_t part, size_t reducers) const noexcept {
        const Deal::Block& block = deal_->blocks[number];
        if (in_turns_ && number >= kHiddenBlocks) wait_until_equal(reduced_[number - kHiddenBlocks], reducers);
        const std::byte* const gate = experts_->packed(kGate, block);
        const std::byte* const up = experts_->packed(kUp, block);
        if (gate != nullptr && up != nullptr) {
            const size_t tiles = (width() - 1) / kTile + 1, first = part * tiles / stretches_ * kTile;
            const size_t last = std::min((part + 1) * tiles / stretches_ * kTile, width());
            const Rows gates{c.scratch, (last - first) * sizeof(float)};
            const Rows ups{gates.bytes(block.end - block.begin), gates.stride};
            multiply(c, rows_of(experts_->gate(), gate, first, last), gate_, block, gates);
            multiply(c, rows_of(experts_->up(), up, first, last), up_, block, ups);
            for (size_t row = 0; row < block.end - block.begin; row++) {
                activate(c, gates.floats(row), ups.floats(row), first_hidden(number) + row, first, last - first);
            }
        }
        count(hid_[number], stretches_);
    }

    static void multiply(const Context& c, const PackedMatrix& w, const Dealt& dealt, const Deal::Block& block,
                         Rows out) {
        c.kernels.linear(w, rows_from(c, dealt.x, dealt.row_bytes, block.begin),
                         rows_from(c, dealt.rest, dealt.row_bytes, block.begin), 0, block.end - block.begin, 0,
                         w.strips(), out);
    }

    // Part of a hidden row: rounding looks at a tile at a time, so parts are rounded as the whole would be.
    void activate(const Context& c, float* gate, float* up, size_t row, size_t first, size_t columns) const {
        std::byte* const to = c.buffers[hidden_.x].data + row * hidden_.row_bytes;
        if (is_float(experts_->down().layout)) {
            return c.kernels.gated(gate, up, columns, activation_, reinterpret_cast<float*>(to) + first);
        }
        const auto stretch = [&](std::byte* whole) {
            const Int8Row all = Int8Row::at(whole, width());
            return Int8Row{all.codes + first, all.tiles + first / kTile};
        };
        c.kernels.gated(gate, up, columns, activation_, gate);
        c.kernels.quantise(gate, columns, stretch(to));
        if (!hidden_.rest) return;
        c.kernels.residual(gate, stretch(to), columns, up);
        c.kernels.quantise(up, columns, stretch(c.buffers[*hidden_.rest].data + row * hidden_.row_bytes));
    }

    void reduce(const Context& c, size_t number, size_t part, size_t reducers) const noexcept {
        const Deal::Block& block = deal_->blocks[number];
        const std::byte* const down = experts_->packed(kDown, block);
        wait_until_equal(hid_[number], stretches_);
        if (down != nullptr) {
            const Experts::Shape& shape = experts_->down();
            const Stretches stretches = results(c.threads);
            const size_t row_bytes = shape.rows * sizeof(float), first = first_hidden(number);
            c.kernels.linear(rows_of(shape, down, 0, shape.rows), rows_from(c, hidden_.x, hidden_.row_bytes, first),
                             rows_from(c, hidden_.rest, hidden_.row_bytes, first), 0, block.end - block.begin,
                             stretches.first(part), stretches.last(part), rows_from(c, out_, row_bytes, block.begin));
        }
        count(reduced_[number], reducers);
        const size_t parts = deal_->blocks_of(block.expert) * reducers;
        if (finished_[block.expert].fetch_add(1, std::memory_order_acq_rel) + 1 == parts) {
            experts_->finish(block);
        }
    }

    static void count(Count& done, size_t all) {
        if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == all) done.notify_all();
    }

    Dealt gate_, up_;
    std::unique_ptr<Experts> experts_;
    Activation activation_;
    SharedDeal deal_;
    Hidden hidden_;
    size_t out_;

    size_t stretches_ = 0, rows_ = 0, most_ = 0;  // of hidden columns; of a block, at most; blocks, at most
    bool in_turns_ = false;                       // whether blocks use the same hidden rows, one after another
    mutable Count next_{0};                       // task
    std::unique_ptr<Count[]> hid_, reduced_;      // tasks that are done, of each block
    std::unique_ptr<Count[]> finished_;           // of the latter, of each expert
};

}  // namespace

std::unique_ptr<Experts> resident_experts(std::array<std::vector<Matrix>, 3> matrices) {
    return std::make_unique<ResidentExperts>(std::move(matrices));
}

std::unique_ptr<Experts> stored_experts(std::vector<SharedStack> stacks) {
    return std::make_unique<StoredExperts>(std::move(stacks));
}

std::unique_ptr<Instruction> make_mixture(Dealt gate, Dealt up, std::unique_ptr<Experts> experts, Activation activation,
                                          SharedDeal deal, Hidden hidden, size_t out) {
    return std::make_unique<Mixture>(gate, up, std::move(experts), activation, std::move(deal), hidden, out);
}

}  // namespace gadfly

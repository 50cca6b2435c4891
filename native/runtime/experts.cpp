#include "runtime/experts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/size.h"
#include "runtime/per_row.h"
#include "runtime/stretches.h"

namespace gadfly {
namespace {

class Group final : public Instruction {
  public:
    explicit Group(SharedDeal deal) : deal_(std::move(deal)) {}

    void prepare(const Step& step, size_t) override {
        const size_t pairs = product({step.tokens.size(), deal_->selected});
        deal_->choices.resize(pairs);
        deal_->row_of.resize(pairs);
        deal_->starts.resize(deal_->experts + 1);
        deal_->busy.reserve(deal_->experts);
    }
    size_t units(const Step&, size_t) const override { return 1; }

    void run(const Context&, size_t) const noexcept override {
        std::vector<size_t>& starts = deal_->starts;
        std::fill(starts.begin(), starts.end(), 0);
        for (const Choice& choice : deal_->choices) starts[choice.expert + 1]++;
        deal_->busy.clear();
        for (size_t e = 0; e < deal_->experts; e++) {
            if (starts[e + 1] > 0) deal_->busy.push_back(e);
            deal_->used[e] += starts[e + 1];
            starts[e + 1] += starts[e];
        }
        // starts[e] runs through the rows of e and ends where e + 1 begins; shifting by one restores it.
        for (size_t pair = 0; pair < deal_->choices.size(); pair++) {
            deal_->row_of[pair] = starts[deal_->choices[pair].expert]++;
        }
        std::copy_backward(starts.begin(), starts.end() - 1, starts.end());
        starts[0] = 0;
    }

  private:
    SharedDeal deal_;
};

// A unit is a busy expert and a stretch of its weight's strips. How many are busy is not known before the step: there
// are units for as many as could be.
class Expert final : public Instruction {
  public:
    Expert(size_t x, std::optional<size_t> rest, size_t row_bytes, std::vector<Matrix> weights, SharedDeal deal,
           size_t out)
        : x_(x), rest_(rest), row_bytes_(row_bytes), weights_(std::move(weights)), deal_(std::move(deal)), out_(out) {}

    size_t units(const Step& step, size_t threads) const override {
        const size_t most = std::min(weights_.size(), step.tokens.size() * deal_->selected);
        return most * Stretches(weights_.front()->strips(), threads).count();
    }

    void run(const Context& c, size_t unit) const noexcept override {
        const Stretches stretches(weights_.front()->strips(), c.threads);
        const size_t index = unit / stretches.count(), stretch = unit % stretches.count();
        if (index >= deal_->busy.size()) return;
        const size_t expert = deal_->busy[index];
        const size_t begin = deal_->starts[expert], end = deal_->starts[expert + 1];
        const PackedMatrix& w = *weights_[expert];
        const Rows x{c.buffers[x_].data, row_bytes_}, out{c.buffers[out_].data, w.rows() * sizeof(float)};
        const Rows rest{rest_ ? c.buffers[*rest_].data : nullptr, row_bytes_};
        c.kernels.linear(w, x, rest, begin, end, stretches.first(stretch), stretches.last(stretch), out);
    }

  private:
    size_t x_;
    std::optional<size_t> rest_;
    size_t row_bytes_;
    std::vector<Matrix> weights_;
    SharedDeal deal_;
    size_t out_;
};

class Fetch final : public Instruction {
  public:
    Fetch(SharedDeal deal, std::vector<SharedStack> stacks) : deal_(std::move(deal)), stacks_(std::move(stacks)) {}

    size_t units(const Step&, size_t) const override { return 1; }
    void run(const Context& c, size_t) const noexcept override {
        stacks_.front()->store.fetch(deal_->busy, stacks_, c.threads);
    }

  private:
    SharedDeal deal_;
    std::vector<SharedStack> stacks_;
};

// All threads go through the experts in the order in which these arrive, each with a share of every one.
class StoredExpert final : public Instruction {
  public:
    StoredExpert(size_t x, std::optional<size_t> rest, size_t row_bytes, SharedStack stack, SharedDeal deal, size_t out)
        : x_(x), rest_(rest), row_bytes_(row_bytes), stack_(std::move(stack)), deal_(std::move(deal)), out_(out) {}

    size_t units(const Step& step, size_t threads) const override {
        const size_t most = std::min(deal_->experts, step.tokens.size() * deal_->selected);
        return most * ExpertStore::parts(*stack_, threads);
    }

    void run(const Context& c, size_t unit) const noexcept override {
        const size_t own = units(c.step, c.threads) / c.threads;  // of a thread, unless it helps another one
        const size_t share = ExpertStore::parts(*stack_, c.threads) / c.threads;
        const size_t thread = unit / own, place = unit % own / share, part = thread * share + unit % share;
        if (place >= deal_->busy.size()) return;
        multiply(c, place, part);
        stack_->store.finish_part(*stack_, place);
    }

  private:
    void multiply(const Context& c, size_t place, size_t part) const noexcept {
        const std::byte* const packed = stack_->store.wait(*stack_, place);
        const PackedMatrix w(stack_->layout, stack_->rows, stack_->columns, nullptr, packed);
        const Stretches stretches(w.strips(), c.threads);
        if (packed == nullptr || part >= stretches.count()) return;
        const size_t expert = stack_->order[place];
        const Rows x{c.buffers[x_].data, row_bytes_}, out{c.buffers[out_].data, w.rows() * sizeof(float)};
        const Rows rest{rest_ ? c.buffers[*rest_].data : nullptr, row_bytes_};
        c.kernels.linear(w, x, rest, deal_->starts[expert], deal_->starts[expert + 1], stretches.first(part),
                         stretches.last(part), out);
    }

    size_t x_;
    std::optional<size_t> rest_;
    size_t row_bytes_;
    SharedStack stack_;
    SharedDeal deal_;
    size_t out_;
};

}  // namespace

std::unique_ptr<Instruction> make_route(size_t logits, bool renormalised, SharedDeal deal) {
    const size_t scratch = product({deal->experts, sizeof(float)});
    const auto route = [logits, renormalised, deal = std::move(deal)](const Context& c, size_t row) {
        const float* from = c.buffers[logits].floats(row);
        auto* chances = reinterpret_cast<float*>(c.scratch);
        const float top = *std::max_element(from, from + deal->experts);
        float total = 0;
        for (size_t e = 0; e < deal->experts; e++) total += chances[e] = std::exp(from[e] - top);
        Choice* choices = deal->choices.data() + row * deal->selected;
        float chosen = 0;
        for (size_t rank = 0; rank < deal->selected; rank++) {
            float* best = std::max_element(chances, chances + deal->experts);
            choices[rank] = {static_cast<size_t>(best - chances), *best / total};
            chosen += choices[rank].weight;
            *best = -1;
        }
        if (!renormalised) return;
        for (size_t rank = 0; rank < deal->selected; rank++) choices[rank].weight /= chosen;
    };
    return per_row(RowsOf::kTokens, route, scratch);
}

std::unique_ptr<Instruction> make_group(SharedDeal deal) { return std::make_unique<Group>(std::move(deal)); }

std::unique_ptr<Instruction> make_deal(size_t x, size_t row_bytes, SharedDeal deal, size_t out) {
    const auto deal_out = [x, row_bytes, deal = std::move(deal), out](const Context& c, size_t row) {
        for (size_t rank = 0; rank < deal->selected; rank++) {
            const size_t to = deal->row_of[row * deal->selected + rank];
            std::memcpy(c.buffers[out].data + to * row_bytes, c.buffers[x].bytes(row), row_bytes);
        }
    };
    return per_row(RowsOf::kTokens, deal_out, 0, Place::kAlone);
}

std::unique_ptr<Instruction> make_expert(size_t x, std::optional<size_t> rest, size_t row_bytes,
                                         std::vector<Matrix> weights, SharedDeal deal, size_t out) {
    return std::make_unique<Expert>(x, rest, row_bytes, std::move(weights), std::move(deal), out);
}

std::unique_ptr<Instruction> make_fetch(SharedDeal deal, std::vector<SharedStack> stacks) {
    return std::make_unique<Fetch>(std::move(deal), std::move(stacks));
}

std::unique_ptr<Instruction> make_stored_expert(size_t x, std::optional<size_t> rest, size_t row_bytes,
                                                SharedStack stack, SharedDeal deal, size_t out) {
    return std::make_unique<StoredExpert>(x, rest, row_bytes, std::move(stack), std::move(deal), out);
}

std::unique_ptr<Instruction> make_combine(size_t x, size_t width, SharedDeal deal, size_t out) {
    const auto combine = [x, width, deal = std::move(deal), out](const Context& c, size_t row) {
        float* sum = c.buffers[out].floats(row);
        std::fill(sum, sum + width, 0.0F);
        for (size_t pair = row * deal->selected; pair < (row + 1) * deal->selected; pair++) {
            const auto* from = reinterpret_cast<const float*>(c.buffers[x].data) + deal->row_of[pair] * width;
            c.kernels.add_scaled(from, deal->choices[pair].weight, width, sum);
        }
    };
    return per_row(RowsOf::kTokens, combine, 0, Place::kFirst);
}

}  // namespace gadfly

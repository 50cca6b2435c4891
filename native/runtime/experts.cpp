#include "runtime/experts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/size.h"
#include "runtime/per_row.h"

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
        deal_->blocks.reserve(deal_->most_blocks(step));
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
        deal_->divide(deal_->busy);
    }

  private:
    SharedDeal deal_;
};

class Fetch final : public Instruction {
  public:
    Fetch(SharedDeal deal, std::vector<SharedStack> stacks) : deal_(std::move(deal)), stacks_(std::move(stacks)) {}

    size_t units(const Step&, size_t) const override { return 1; }
    void run(const Context& c, size_t) const noexcept override {
        stacks_.front()->store.fetch(deal_->busy, stacks_, c.step.tokens.size() == 1);
        deal_->divide(stacks_.front()->order);
    }

  private:
    SharedDeal deal_;
    std::vector<SharedStack> stacks_;
};

}  // namespace

size_t Deal::most_blocks(const Step& step) const {
    const size_t rows = product({step.tokens.size(), selected});
    return std::min(experts, rows) + rows / kBlock;
}

void Deal::divide(const std::vector<size_t>& order) noexcept {
    blocks.clear();
    for (size_t place = 0; place < order.size(); place++) {
        const size_t expert = order[place], last = starts[expert + 1];
        for (size_t begin = starts[expert]; begin < last; begin += kBlock) {
            blocks.push_back({expert, place, begin, std::min(begin + kBlock, last)});
        }
    }
}

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

std::unique_ptr<Instruction> make_fetch(SharedDeal deal, std::vector<SharedStack> stacks) {
    return std::make_unique<Fetch>(std::move(deal), std::move(stacks));
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

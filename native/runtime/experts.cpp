#include "runtime/experts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gadfly {
namespace {

const Choice* choices_of(const Context& c, size_t buffer, size_t token) {
    return reinterpret_cast<const Choice*>(c.buffers[buffer].data + token * c.buffers[buffer].stride);
}

class Route : public PerRow {
  public:
    Route(size_t logits, SharedDeal deal, size_t out)
        : PerRow(RowsOf::kTokens), logits_(logits), deal_(std::move(deal)), out_(out) {}

    size_t scratch_bytes(const Step&) const override { return deal_->experts * sizeof(float); }

  protected:
    void compute(const Context& c, size_t row) const override {
        const float* logits = c.buffers[logits_].floats(row);
        auto* chances = reinterpret_cast<float*>(c.scratch);
        const float top = *std::max_element(logits, logits + deal_->experts);
        float total = 0;
        for (size_t e = 0; e < deal_->experts; e++) total += chances[e] = std::exp(logits[e] - top);
        auto* choices = reinterpret_cast<Choice*>(c.buffers[out_].data + row * c.buffers[out_].stride);
        for (size_t rank = 0; rank < deal_->selected; rank++) {
            float* best = std::max_element(chances, chances + deal_->experts);
            choices[rank] = {static_cast<int32_t>(best - chances), *best / total};
            *best = -1;  // chosen
        }
    }

  private:
    size_t logits_;
    SharedDeal deal_;
    size_t out_;
};

class Group : public Instruction {
  public:
    Group(size_t choices, SharedDeal deal) : choices_(choices), deal_(std::move(deal)) {}

    void prepare(const Step& step, size_t) override {
        deal_->starts.resize(deal_->experts + 1);
        deal_->row_of.resize(step.tokens.size() * deal_->selected);
    }
    size_t units(const Step&, size_t) const override { return 1; }

    void run(const Context& c, size_t) const override {
        Deal& deal = *deal_;
        std::fill(deal.starts.begin(), deal.starts.end(), 0);
        each_pair(c, [&](size_t, size_t expert) { deal.starts[expert + 1]++; });
        for (size_t e = 0; e < deal.experts; e++) {
            deal.used[e] += deal.starts[e + 1];
            deal.starts[e + 1] += deal.starts[e];
        }
        // starts[e] runs through the rows of e and ends where e + 1 begins; shifting by one restores it.
        each_pair(c, [&](size_t pair, size_t expert) { deal.row_of[pair] = deal.starts[expert]++; });
        std::copy_backward(deal.starts.begin(), deal.starts.end() - 1, deal.starts.end());
        deal.starts[0] = 0;
    }

  private:
    template <class F>
    void each_pair(const Context& c, F f) const {
        for (size_t token = 0; token < c.step.tokens.size(); token++) {
            const Choice* choices = choices_of(c, choices_, token);
            for (size_t rank = 0; rank < deal_->selected; rank++) {
                f(token * deal_->selected + rank, static_cast<size_t>(choices[rank].expert));
            }
        }
    }

    size_t choices_;
    SharedDeal deal_;
};

class DealRows : public PerRow {
  public:
    DealRows(size_t x, size_t row_bytes, SharedDeal deal, size_t out)
        : PerRow(RowsOf::kTokens), x_(x), row_bytes_(row_bytes), deal_(std::move(deal)), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        const std::byte* x = c.buffers[x_].data + row * c.buffers[x_].stride;
        for (size_t rank = 0; rank < deal_->selected; rank++) {
            const size_t to = deal_->row_of[row * deal_->selected + rank];
            std::memcpy(c.buffers[out_].data + to * row_bytes_, x, row_bytes_);
        }
    }

  private:
    size_t x_, row_bytes_;
    SharedDeal deal_;
    size_t out_;
};

class Expert : public Instruction {
  public:
    Expert(size_t x, size_t row_bytes, std::vector<Matrix> weights, SharedDeal deal, size_t out)
        : x_(x), row_bytes_(row_bytes), weights_(std::move(weights)), deal_(std::move(deal)), out_(out) {}

    size_t units(const Step&, size_t threads) const override { return weights_.size() * stretches(threads); }

    void run(const Context& c, size_t unit) const override {
        const size_t all = stretches(c.threads), expert = unit / all, stretch = unit % all;
        const size_t begin = deal_->starts[expert], end = deal_->starts[expert + 1];
        if (begin == end) return;
        const PackedMatrix& w = *weights_[expert];
        const Rows x{c.buffers[x_].data, row_bytes_}, out{c.buffers[out_].data, w.rows() * sizeof(float)};
        c.kernels.linear(w, x, begin, end, stretch * w.strips() / all, (stretch + 1) * w.strips() / all, out);
    }

  private:
    size_t stretches(size_t threads) const { return std::min(weights_.front()->strips(), 4 * threads); }

    size_t x_, row_bytes_;
    std::vector<Matrix> weights_;
    SharedDeal deal_;
    size_t out_;
};

class Combine : public PerRow {
  public:
    Combine(size_t x, size_t choices, size_t width, SharedDeal deal, size_t out)
        : PerRow(RowsOf::kTokens), x_(x), choices_(choices), width_(width), deal_(std::move(deal)), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        const Choice* choices = choices_of(c, choices_, row);
        float* out = c.buffers[out_].floats(row);
        std::fill(out, out + width_, 0.0F);
        for (size_t rank = 0; rank < deal_->selected; rank++) {
            const size_t from = deal_->row_of[row * deal_->selected + rank];
            const auto* x = reinterpret_cast<const float*>(c.buffers[x_].data) + from * width_;
            c.kernels.add_scaled(x, choices[rank].weight, width_, out);
        }
    }

  private:
    size_t x_, choices_, width_;
    SharedDeal deal_;
    size_t out_;
};

}  // namespace

std::unique_ptr<Instruction> make_route(size_t logits, const SharedDeal& deal, size_t out) {
    return std::make_unique<Route>(logits, deal, out);
}
std::unique_ptr<Instruction> make_group(size_t choices, const SharedDeal& deal) {
    return std::make_unique<Group>(choices, deal);
}
std::unique_ptr<Instruction> make_deal(size_t x, size_t row_bytes, const SharedDeal& deal, size_t out) {
    return std::make_unique<DealRows>(x, row_bytes, deal, out);
}
std::unique_ptr<Instruction> make_expert(size_t x, size_t row_bytes, std::vector<Matrix> weights,
                                         const SharedDeal& deal, size_t out) {
    return std::make_unique<Expert>(x, row_bytes, std::move(weights), deal, out);
}
std::unique_ptr<Instruction> make_combine(size_t x, size_t choices, size_t width, const SharedDeal& deal, size_t out) {
    return std::make_unique<Combine>(x, choices, width, deal, out);
}

}  // namespace gadfly

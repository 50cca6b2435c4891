// Keys and values go into the cache, and queries attend to them.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "runtime/instructions.h"
#include "runtime/per_row.h"

namespace gadfly {
namespace {

// A block of queries that share a key/value head is some of its heads times some neighbouring tokens. A unit is a
// block, or, where few tokens see much, some of a block's spans: whoever finishes the last of them merges them all, in
// order.
class Attend final : public Instruction {
  public:
    Attend(size_t q, Cache cache, size_t layer, size_t heads, Scoring scoring, size_t out)
        : q_(q),
          cache_(std::move(cache)),
          layer_(layer),
          group_(heads / cache_->kv_heads()),
          scoring_(scoring),
          out_(out) {}

    void prepare(const Step& step, size_t threads) override {
        size_t queries = kQueries;
        while (queries > 1 && divide(step, queries, 1) < 4 * threads) queries = (queries + 1) / 2;
        divide(step, queries, divide(step, queries, 1) / (16 * threads));
        states_.resize(std::max(states_.size(), blocks_.empty() ? 0 : blocks_.back().states_end));
        left_.clear();
        for (const Block& block : blocks_) left_.push_back(block.units);
    }

    size_t units(const Step&, size_t) const override { return units_.size(); }

    size_t scratch_bytes() const override {
        return (AttendTask::scratch_floats(cache_->head_dim()) + kQueries * state_floats()) * sizeof(float);
    }

    void run(const Context& c, size_t number) const noexcept override {
        const Unit& unit = units_[number];
        const Block& block = blocks_[unit.block];
        auto* scratch = reinterpret_cast<float*>(c.scratch);
        float* out[kQueries];

        AttendTask task{};
        for (size_t row = block.row; row < block.row + block.tokens; row++) {
            for (size_t head = block.head; head < block.head + block.heads; head++) {
                const size_t offset = head * cache_->head_dim();
                task.query[task.queries] = c.buffers[q_].floats(row) + offset;
                out[task.queries] = c.buffers[out_].floats(row) + offset;
                const size_t position = position_of(c.step, row);
                task.first[task.queries] = first_seen(position);
                task.visible[task.queries] = position + 1;
                task.temperature[task.queries++] = temperature(position);
            }
        }
        task.begin = unit.begin;
        task.end = unit.end;
        task.head_dim = cache_->head_dim();
        task.page_size = cache_->page_size();
        task.scale = scoring_.scale;
        task.softcap = scoring_.softcap;
        task.pages = c.step.page_ids.data() + c.step.page_starts[block.sequence];
        task.keys = cache_->keys(layer_, 0, block.head / group_);
        task.values = cache_->values(layer_, 0, block.head / group_);
        task.kind = cache_->kind();
        task.page_stride = cache_->page_stride();
        task.scratch = scratch;
        task.apart = block.units > 1;
        if (!task.apart) {
            task.states = scratch + AttendTask::scratch_floats(task.head_dim);
            c.kernels.attend(task);
            conclude(c.kernels, task.states, task.queries, 1, out);
            return;
        }
        float* all = states_.data() + block.states;
        task.states = all + (unit.begin / kSpan - block.begin / kSpan) * task.queries * state_floats();
        c.kernels.attend(task);
        if (std::atomic_ref(left_[unit.block]).fetch_sub(1, std::memory_order_acq_rel) == 1) {
            conclude(c.kernels, all, task.queries, spans(block.begin, block.end), out);
        }
    }

  private:
    static constexpr size_t kFew = 8;  // tokens of a sequence, which may see more than one thread can read in time

    struct Block {
        size_t sequence, row, tokens, head, heads;  // the first of them
        size_t begin, end;                          // the positions that they see
        size_t units, states, states_end;           // where in states_, if there are several units
    };
    struct Unit {
        size_t block, begin, end;
    };

    // Fills blocks_ and units_, of up to so many queries and, where blocks are divided, so many spans. Returns how many
    // units there are.
    size_t divide(const Step& step, size_t queries, size_t spans_per_unit) {
        blocks_.clear();
        units_.clear();
        const size_t most_heads = std::min(group_, queries), most_tokens = queries / most_heads;
        size_t states = 0;
        for (size_t s = 0; s + 1 < step.starts.size(); s++) {
            const auto first = static_cast<size_t>(step.starts[s]), last = static_cast<size_t>(step.starts[s + 1]);
            for (size_t row = first; row < last; row += most_tokens) {
                const size_t tokens = std::min(most_tokens, last - row), position = position_of(step, row);
                const size_t begin = first_seen(position) / kSlots * kSlots, end = position + tokens;
                const size_t stretch = last - first <= kFew ? std::max<size_t>(spans_per_unit, 1) * kSpan : end + kSpan;
                for (size_t head = 0; head < group_ * cache_->kv_heads();) {
                    const size_t heads = std::min(most_heads, group_ - head % group_);
                    Block block{s, row, tokens, head, heads, begin, end, 0, states, states};
                    for (size_t at = begin; at < end; block.units++) {
                        const size_t until = std::min(end, at / kSpan * kSpan + stretch);
                        units_.push_back({blocks_.size(), at, until});
                        at = until;
                    }
                    if (block.units > 1) block.states_end += spans(begin, end) * tokens * heads * state_floats();
                    states = block.states_end;
                    blocks_.push_back(block);
                    head += heads;
                }
            }
        }
        return units_.size();
    }

    void conclude(const Kernels& kernels, float* states, size_t queries, size_t all, float* const* out) const {
        for (size_t q = 0; q < queries; q++) {
            kernels.conclude(states + q * state_floats(), all - 1, queries * state_floats(), cache_->head_dim(),
                             out[q]);
        }
    }

    static size_t position_of(const Step& step, size_t row) { return static_cast<size_t>(step.positions[row]); }
    static size_t spans(size_t begin, size_t end) { return (end - 1) / kSpan - begin / kSpan + 1; }
    size_t state_floats() const { return AttendState::floats(cache_->head_dim()); }
    size_t first_seen(size_t position) const {
        return scoring_.window > 0 && position >= scoring_.window ? position - scoring_.window + 1 : 0;
    }
    float temperature(size_t position) const {
        if (scoring_.temperature == 0 || position <= scoring_.temperature) return 1;
        return static_cast<float>(std::log(static_cast<double>(position)) /
                                  std::log(static_cast<double>(scoring_.temperature)));
    }

    static constexpr size_t kSlots = 16;  // a page may be read from a multiple of these on

    size_t q_;
    Cache cache_;
    size_t layer_, group_;
    Scoring scoring_;
    size_t out_;
    // Of the step prepared. Threads write to the last two: states of spans, and how many units of a block are not done.
    std::vector<Block> blocks_;
    std::vector<Unit> units_;
    mutable std::vector<float> states_;
    mutable std::vector<size_t> left_;
};

}  // namespace

std::unique_ptr<Instruction> make_store(size_t k, size_t v, Cache cache, size_t layer) {
    return per_row(RowsOf::kTokens, [k, v, cache = std::move(cache), layer](const Context& c, size_t row) {
        const auto& starts = c.step.starts;
        const auto next = std::upper_bound(starts.begin(), starts.end(), static_cast<int32_t>(row));
        const int32_t* pages =
            c.step.page_ids.data() + c.step.page_starts[static_cast<size_t>(next - starts.begin()) - 1];
        const auto position = static_cast<size_t>(c.step.positions[row]);
        cache->store(c.kernels, layer, static_cast<size_t>(pages[position / cache->page_size()]),
                     position % cache->page_size(), c.buffers[k].floats(row), c.buffers[v].floats(row));
    });
}

std::unique_ptr<Instruction> make_attend(size_t q, Cache cache, size_t layer, size_t heads, Scoring scoring,
                                         size_t out) {
    return std::make_unique<Attend>(q, std::move(cache), layer, heads, scoring, out);
}

}  // namespace gadfly

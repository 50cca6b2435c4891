#include "runtime/instructions.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/size.h"
#include "runtime/per_row.h"
#include "runtime/stretches.h"

namespace gadfly {
namespace {

// A unit is a stretch of the weight's strips and a block of tokens.
class Linear final : public Instruction {
  public:
    Linear(RowsOf rows, size_t x, std::optional<size_t> rest, Matrix weight, size_t out)
        : rows_(rows), x_(x), rest_(rest), weight_(std::move(weight)), out_(out) {}

    size_t units(const Step& step, size_t threads) const override {
        return (step.rows(rows_) + kTokens - 1) / kTokens * Stretches(weight_->strips(), threads).count();
    }
    void run(const Context& c, size_t unit) const noexcept override {
        const Stretches stretches(weight_->strips(), c.threads);
        const size_t block = unit / stretches.count(), stretch = unit % stretches.count();
        const size_t begin = block * kTokens, end = std::min(begin + kTokens, c.step.rows(rows_));
        c.kernels.linear(*weight_, c.buffers[x_], rest_ ? c.buffers[*rest_] : Rows{}, begin, end,
                         stretches.first(stretch), stretches.last(stretch), c.buffers[out_]);
    }

  private:
    static constexpr size_t kTokens = 96;  // activations of a block stay in the second-level cache

    RowsOf rows_;
    size_t x_;
    std::optional<size_t> rest_;
    Matrix weight_;
    size_t out_;
};

// A unit is a key/value head and a block of queries that share it: some of its heads times some neighbouring tokens.
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
        const bool few = step.tokens.size() * cache_->kv_heads() < 4 * threads;
        heads_per_block_ = few ? 1 : std::min(group_, kQueries);
        const size_t tokens_per_block = few ? 1 : kQueries / heads_per_block_;
        blocks_.clear();
        score_stride_ = 0;
        for (size_t s = 0; s + 1 < step.starts.size(); s++) {
            const auto last = static_cast<size_t>(step.starts[s + 1]);
            for (auto row = static_cast<size_t>(step.starts[s]); row < last; row += tokens_per_block) {
                const size_t tokens = std::min(tokens_per_block, last - row);
                const size_t position = position_of(step, row), begin = first_seen(position) / kSpan * kSpan;
                blocks_.push_back({s, row, tokens, begin});
                score_stride_ = std::max(score_stride_, (position + tokens + kSpan - 1) / kSpan * kSpan - begin);
            }
        }
    }

    size_t units(const Step&, size_t) const override { return blocks_.size() * cache_->kv_heads() * head_blocks(); }

    size_t scratch_bytes() const override { return product({kQueries, score_stride_, sizeof(float)}); }

    void run(const Context& c, size_t unit) const noexcept override {
        const Block& block = blocks_[unit / (cache_->kv_heads() * head_blocks())];
        const size_t kv_head = unit / head_blocks() % cache_->kv_heads();
        const size_t first_head = unit % head_blocks() * heads_per_block_;
        const size_t last_head = std::min(first_head + heads_per_block_, group_);
        const size_t head_dim = cache_->head_dim();

        AttendTask task{};
        for (size_t row = block.row; row < block.row + block.tokens; row++) {
            for (size_t head = first_head; head < last_head; head++) {
                const size_t offset = (kv_head * group_ + head) * head_dim;
                task.query[task.queries] = c.buffers[q_].floats(row) + offset;
                task.out[task.queries] = c.buffers[out_].floats(row) + offset;
                const size_t position = position_of(c.step, row);
                task.first[task.queries] = first_seen(position);
                task.visible[task.queries] = position + 1;
                task.temperature[task.queries++] = temperature(position);
            }
        }
        task.begin = block.begin;
        task.head_dim = head_dim;
        task.page_size = cache_->page_size();
        task.scale = scoring_.scale;
        task.softcap = scoring_.softcap;
        task.pages = c.step.page_ids.data() + c.step.page_starts[block.sequence];
        task.keys = cache_->keys(layer_, 0, kv_head);
        task.values = cache_->values(layer_, 0, kv_head);
        task.kind = cache_->kind();
        task.page_stride = cache_->page_stride();
        task.scores = reinterpret_cast<float*>(c.scratch);
        task.score_stride = score_stride_;
        c.kernels.attend(task);
    }

  private:
    static constexpr size_t kSpan = 16;  // positions that are scored together

    struct Block {
        size_t sequence, row, tokens, begin;
    };
    static size_t position_of(const Step& step, size_t row) { return static_cast<size_t>(step.positions[row]); }
    size_t first_seen(size_t position) const {
        return scoring_.window > 0 && position >= scoring_.window ? position - scoring_.window + 1 : 0;
    }
    float temperature(size_t position) const {
        if (scoring_.temperature == 0 || position <= scoring_.temperature) return 1;
        return static_cast<float>(std::log(static_cast<double>(position)) /
                                  std::log(static_cast<double>(scoring_.temperature)));
    }
    size_t head_blocks() const { return (group_ + heads_per_block_ - 1) / heads_per_block_; }

    size_t q_;
    Cache cache_;
    size_t layer_, group_;
    Scoring scoring_;
    size_t out_;
    size_t heads_per_block_ = 1, score_stride_ = 0;  // these and blocks_ are of the step prepared
    std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Instruction> make_embed(Matrix table, size_t out) {
    return per_row(RowsOf::kTokens, [table = std::move(table), out](const Context& c, size_t row) {
        table->row(static_cast<size_t>(c.step.tokens[row]), c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_rms_norm(RowsOf rows, size_t x, size_t width, std::vector<float> weight, float eps,
                                           size_t out) {
    return per_row(rows, [x, width, weight = std::move(weight), eps, out](const Context& c, size_t row) {
        const float* from = c.buffers[x].floats(row);
        float* to = c.buffers[out].floats(row);
        for (size_t i = 0; i < width; i += weight.size()) {
            c.kernels.rms_norm(from + i, weight.data(), eps, weight.size(), to + i);
        }
    });
}

std::unique_ptr<Instruction> make_quantise(RowsOf rows, size_t x, size_t width, size_t parts, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        const float* from = c.buffers[x].floats(row);
        std::byte* to = c.buffers[out].bytes(row);
        for (size_t part = 0; part < parts; part++, from += width, to += Int8Row::bytes(width)) {
            c.kernels.quantise(from, width, Int8Row::at(to, width));
        }
    });
}

std::unique_ptr<Instruction> make_residual(RowsOf rows, size_t x, size_t rounded, size_t width, size_t parts,
                                           size_t out) {
    const auto residual = [=](const Context& c, size_t row) {
        auto* rest = reinterpret_cast<float*>(c.scratch);
        for (size_t part = 0; part < parts; part++) {
            const size_t offset = part * Int8Row::bytes(width);
            c.kernels.residual(c.buffers[x].floats(row) + part * width,
                               Int8Row::at(c.buffers[rounded].bytes(row) + offset, width), width, rest);
            c.kernels.quantise(rest, width, Int8Row::at(c.buffers[out].bytes(row) + offset, width));
        }
    };
    return per_row(rows, residual, product({width, sizeof(float)}));
}

std::unique_ptr<Instruction> make_linear(RowsOf rows, size_t x, std::optional<size_t> rest, Matrix weight, size_t out) {
    return std::make_unique<Linear>(rows, x, rest, std::move(weight), out);
}

std::unique_ptr<Instruction> make_angles(std::vector<double> frequencies, double magnitude, size_t out) {
    const auto angles = [frequencies = std::move(frequencies), magnitude, out](const Context& c, size_t row) {
        float* cos = c.buffers[out].floats(row);
        float* sin = cos + frequencies.size();
        for (size_t j = 0; j < frequencies.size(); j++) {
            const double angle = c.step.positions[row] * frequencies[j];
            cos[j] = static_cast<float>(magnitude * std::cos(angle));
            sin[j] = static_cast<float>(magnitude * std::sin(angle));
        }
    };
    return per_row(RowsOf::kTokens, angles);
}

std::unique_ptr<Instruction> make_rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out) {
    return per_row(RowsOf::kTokens, [=](const Context& c, size_t row) {
        const float* cos = c.buffers[angles].floats(row);
        c.kernels.rope(c.buffers[x].floats(row), cos, cos + dim / 2, heads, head_dim, dim, c.buffers[out].floats(row));
    });
}

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

std::unique_ptr<Instruction> make_gated(RowsOf rows, size_t gate, size_t up, size_t width, Activation kind,
                                        size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.gated(c.buffers[gate].floats(row), c.buffers[up].floats(row), width, kind,
                        c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_add(RowsOf rows, size_t x, size_t y, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.add(c.buffers[x].floats(row), c.buffers[y].floats(row), width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_shift(RowsOf rows, size_t x, std::vector<float> bias, size_t out) {
    return per_row(rows, [x, bias = std::move(bias), out](const Context& c, size_t row) {
        c.kernels.add(c.buffers[x].floats(row), bias.data(), bias.size(), c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_softcap(RowsOf rows, size_t x, float cap, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.softcap(c.buffers[x].floats(row), cap, width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_scale(RowsOf rows, size_t x, float factor, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.scale(c.buffers[x].floats(row), factor, width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_select(size_t x, size_t width, size_t out) {
    const auto select = [=](const Context& c, size_t row) {
        const auto source = static_cast<size_t>(c.step.wanted[row]);
        std::memcpy(c.buffers[out].floats(row), c.buffers[x].floats(source), width * sizeof(float));
    };
    return per_row(RowsOf::kWanted, select, 0, Place::kFirst);
}

}  // namespace gadfly

#include "runtime/instructions.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gadfly {
namespace {

class Embed : public PerRow {
  public:
    Embed(Matrix table, size_t out) : PerRow(RowsOf::kTokens), table_(std::move(table)), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        table_->row(static_cast<size_t>(c.step.tokens[row]), c.buffers[out_].floats(row));
    }

  private:
    Matrix table_;
    size_t out_;
};

class RmsNorm : public PerRow {
  public:
    RmsNorm(RowsOf rows, size_t x, Floats weight, float eps, size_t out)
        : PerRow(rows), x_(x), weight_(std::move(weight)), eps_(eps), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        c.kernels.rms_norm(c.buffers[x_].floats(row), weight_.data(), eps_, weight_.size(),
                           c.buffers[out_].floats(row));
    }

  private:
    size_t x_;
    Floats weight_;
    float eps_;
    size_t out_;
};

class Quantise : public PerRow {
  public:
    Quantise(RowsOf rows, size_t x, size_t width, size_t parts, size_t out)
        : PerRow(rows), x_(x), width_(width), parts_(parts), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        const float* x = c.buffers[x_].floats(row);
        std::byte* out = c.buffers[out_].data + row * c.buffers[out_].stride;
        for (size_t part = 0; part < parts_; part++) {
            c.kernels.quantise(x + part * width_, width_, Int8Row::at(out + part * Int8Row::bytes(width_), width_));
        }
    }

  private:
    size_t x_, width_, parts_, out_;
};

class Residual : public PerRow {
  public:
    Residual(RowsOf rows, size_t x, size_t rounded, size_t width, size_t out)
        : PerRow(rows), x_(x), rounded_(rounded), width_(width), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        c.kernels.residual(c.buffers[x_].floats(row), c.buffers[rounded_].int8s(row, width_), width_,
                           c.buffers[out_].floats(row));
    }

  private:
    size_t x_, rounded_, width_, out_;
};

class Linear : public Instruction {
  public:
    Linear(RowsOf rows, size_t x, Matrix weight, size_t out)
        : rows_(rows), x_(x), weight_(std::move(weight)), out_(out) {}

    size_t units(const Step& step, size_t threads) const override { return blocks(step) * stretches(threads); }
    void run(const Context& c, size_t unit) const override {
        const size_t block = unit / stretches(c.threads), stretch = unit % stretches(c.threads);
        const size_t begin = block * kTokens, end = std::min(begin + kTokens, count(c.step));
        const size_t strips = weight_->strips(), all = stretches(c.threads);
        c.kernels.linear(*weight_, c.buffers[x_], begin, end, stretch * strips / all, (stretch + 1) * strips / all,
                         c.buffers[out_]);
    }

  private:
    static constexpr size_t kTokens = 96;  // activations of a block stay in the second-level cache

    size_t count(const Step& step) const { return rows_ == RowsOf::kTokens ? step.tokens.size() : step.wanted.size(); }
    size_t blocks(const Step& step) const { return (count(step) + kTokens - 1) / kTokens; }
    size_t stretches(size_t threads) const { return std::min(weight_->strips(), 4 * threads); }

    RowsOf rows_;
    size_t x_;
    Matrix weight_;
    size_t out_;
};

class Angles : public PerRow {
  public:
    Angles(std::vector<double> frequencies, size_t out)
        : PerRow(RowsOf::kTokens), frequencies_(std::move(frequencies)), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        float* out = c.buffers[out_].floats(row);
        for (size_t j = 0; j < frequencies_.size(); j++) {
            const double angle = c.step.positions[row] * frequencies_[j];
            out[j] = static_cast<float>(std::cos(angle));
            out[frequencies_.size() + j] = static_cast<float>(std::sin(angle));
        }
    }

  private:
    std::vector<double> frequencies_;
    size_t out_;
};

class Rope : public PerRow {
  public:
    Rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out)
        : PerRow(RowsOf::kTokens), x_(x), angles_(angles), heads_(heads), head_dim_(head_dim), dim_(dim), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        const float* angles = c.buffers[angles_].floats(row);
        c.kernels.rope(c.buffers[x_].floats(row), angles, angles + dim_ / 2, heads_, head_dim_, dim_,
                       c.buffers[out_].floats(row));
    }

  private:
    size_t x_, angles_, heads_, head_dim_, dim_, out_;
};

size_t page_of(const Step& step, size_t sequence, size_t index) {
    return static_cast<size_t>(step.page_ids[static_cast<size_t>(step.page_starts[sequence]) + index]);
}

class Store : public PerRow {
  public:
    Store(size_t k, size_t v, Cache cache, size_t layer)
        : PerRow(RowsOf::kTokens), k_(k), v_(v), cache_(std::move(cache)), layer_(layer) {}

    size_t scratch_bytes(const Step&) const override { return cache_->head_dim() * sizeof(uint16_t); }

  protected:
    void compute(const Context& c, size_t row) const override {
        const auto next = std::upper_bound(c.step.starts.begin(), c.step.starts.end(), static_cast<int32_t>(row));
        const auto sequence = static_cast<size_t>(next - c.step.starts.begin()) - 1;
        const auto position = static_cast<size_t>(c.step.positions[row]);
        cache_->store(c.kernels, layer_, page_of(c.step, sequence, position / cache_->page_size()),
                      position % cache_->page_size(), c.buffers[k_].floats(row), c.buffers[v_].floats(row),
                      reinterpret_cast<uint16_t*>(c.scratch));
    }

  private:
    size_t k_, v_;
    Cache cache_;
    size_t layer_;
};

// A unit is a key/value head and a block of queries that share it: some of its heads times some neighbouring tokens.
class Attend : public Instruction {
  public:
    Attend(size_t q, Cache cache, size_t layer, size_t heads, float scale, float softcap, size_t out)
        : q_(q),
          cache_(std::move(cache)),
          layer_(layer),
          group_(heads / cache_->kv_heads()),
          scale_(scale),
          softcap_(softcap),
          out_(out) {}

    void prepare(const Step& step, size_t threads) override {
        const bool few = step.tokens.size() * cache_->kv_heads() < 4 * threads;
        heads_per_block_ = few ? 1 : std::min(group_, kQueries);
        const size_t tokens_per_block = few ? 1 : kQueries / heads_per_block_;
        blocks_.clear();
        for (size_t s = 0; s + 1 < step.starts.size(); s++) {
            const auto last = static_cast<size_t>(step.starts[s + 1]);
            for (auto row = static_cast<size_t>(step.starts[s]); row < last; row += tokens_per_block) {
                blocks_.push_back({s, row, std::min(tokens_per_block, last - row)});
            }
        }
    }

    size_t units(const Step&, size_t) const override { return blocks_.size() * cache_->kv_heads() * head_blocks(); }

    size_t scratch_bytes(const Step& step) const override { return kQueries * score_stride(step) * sizeof(float); }

    void run(const Context& c, size_t unit) const override {
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
                task.visible[task.queries++] = static_cast<size_t>(c.step.positions[row]) + 1;
            }
        }
        task.head_dim = head_dim;
        task.page_size = cache_->page_size();
        task.scale = scale_;
        task.softcap = softcap_;
        task.pages = c.step.page_ids.data() + c.step.page_starts[block.sequence];
        task.keys = cache_->keys(layer_, 0, kv_head);
        task.values = cache_->values(layer_, 0, kv_head);
        task.page_stride = cache_->page_stride();
        task.scores = reinterpret_cast<float*>(c.scratch);
        task.score_stride = score_stride(c.step);
        c.kernels.attend(task);
    }

  private:
    struct Block {
        size_t sequence, row, tokens;
    };
    size_t head_blocks() const { return (group_ + heads_per_block_ - 1) / heads_per_block_; }
    size_t score_stride(const Step& step) const {
        size_t pages = 0;
        for (size_t s = 0; s + 1 < step.page_starts.size(); s++) {
            pages = std::max(pages, static_cast<size_t>(step.page_starts[s + 1] - step.page_starts[s]));
        }
        return pages * cache_->page_size();
    }

    size_t q_;
    Cache cache_;
    size_t layer_, group_;
    float scale_, softcap_;
    size_t out_;
    size_t heads_per_block_ = 1;
    std::vector<Block> blocks_;
};

class Gated : public PerRow {
  public:
    Gated(RowsOf rows, size_t gate, size_t up, size_t width, Activation kind, size_t out)
        : PerRow(rows), gate_(gate), up_(up), width_(width), kind_(kind), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        c.kernels.gated(c.buffers[gate_].floats(row), c.buffers[up_].floats(row), width_, kind_,
                        c.buffers[out_].floats(row));
    }

  private:
    size_t gate_, up_, width_;
    Activation kind_;
    size_t out_;
};

class Add : public PerRow {
  public:
    Add(RowsOf rows, size_t x, size_t y, size_t width, size_t out)
        : PerRow(rows), x_(x), y_(y), width_(width), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        c.kernels.add(c.buffers[x_].floats(row), c.buffers[y_].floats(row), width_, c.buffers[out_].floats(row));
    }

  private:
    size_t x_, y_, width_, out_;
};

class Scale : public PerRow {
  public:
    Scale(RowsOf rows, size_t x, float factor, size_t width, size_t out)
        : PerRow(rows), x_(x), factor_(factor), width_(width), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        c.kernels.scale(c.buffers[x_].floats(row), factor_, width_, c.buffers[out_].floats(row));
    }

  private:
    size_t x_;
    float factor_;
    size_t width_, out_;
};

class Select : public PerRow {
  public:
    Select(size_t x, size_t width, size_t out) : PerRow(RowsOf::kWanted), x_(x), width_(width), out_(out) {}

  protected:
    void compute(const Context& c, size_t row) const override {
        const auto source = static_cast<size_t>(c.step.wanted[row]);
        std::memcpy(c.buffers[out_].floats(row), c.buffers[x_].floats(source), width_ * sizeof(float));
    }

  private:
    size_t x_, width_, out_;
};

}  // namespace

std::unique_ptr<Instruction> make_embed(Matrix table, size_t out) {
    return std::make_unique<Embed>(std::move(table), out);
}
std::unique_ptr<Instruction> make_rms_norm(RowsOf rows, size_t x, Floats weight, float eps, size_t out) {
    return std::make_unique<RmsNorm>(rows, x, std::move(weight), eps, out);
}
std::unique_ptr<Instruction> make_quantise(RowsOf rows, size_t x, size_t width, size_t parts, size_t out) {
    return std::make_unique<Quantise>(rows, x, width, parts, out);
}
std::unique_ptr<Instruction> make_residual(RowsOf rows, size_t x, size_t rounded, size_t width, size_t out) {
    return std::make_unique<Residual>(rows, x, rounded, width, out);
}
std::unique_ptr<Instruction> make_linear(RowsOf rows, size_t x, Matrix weight, size_t out) {
    return std::make_unique<Linear>(rows, x, std::move(weight), out);
}
std::unique_ptr<Instruction> make_angles(std::vector<double> frequencies, size_t out) {
    return std::make_unique<Angles>(std::move(frequencies), out);
}
std::unique_ptr<Instruction> make_rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out) {
    return std::make_unique<Rope>(x, angles, heads, head_dim, dim, out);
}
std::unique_ptr<Instruction> make_store(size_t k, size_t v, Cache cache, size_t layer) {
    return std::make_unique<Store>(k, v, std::move(cache), layer);
}
std::unique_ptr<Instruction> make_attend(size_t q, Cache cache, size_t layer, size_t heads, float scale, float softcap,
                                         size_t out) {
    return std::make_unique<Attend>(q, std::move(cache), layer, heads, scale, softcap, out);
}
std::unique_ptr<Instruction> make_gated(RowsOf rows, size_t gate, size_t up, size_t width, Activation kind,
                                        size_t out) {
    return std::make_unique<Gated>(rows, gate, up, width, kind, out);
}
std::unique_ptr<Instruction> make_add(RowsOf rows, size_t x, size_t y, size_t width, size_t out) {
    return std::make_unique<Add>(rows, x, y, width, out);
}
std::unique_ptr<Instruction> make_scale(RowsOf rows, size_t x, float factor, size_t width, size_t out) {
    return std::make_unique<Scale>(rows, x, factor, width, out);
}
std::unique_ptr<Instruction> make_select(size_t x, size_t width, size_t out) {
    return std::make_unique<Select>(x, width, out);
}

}  // namespace gadfly

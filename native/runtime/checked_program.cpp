#include "runtime/checked_program.h"

#include <algorithm>
#include <set>
#include <utility>

#include "formats/size.h"
#include "runtime/layers.h"
#include "runtime/require.h"

namespace gadfly {
namespace {

// Resource numbers, beyond those of buffers: of what the store is fetching, of the caches' layers, and of the deals.
constexpr size_t kFetched = size_t{1} << 61, kCaches = size_t{1} << 62, kDeals = size_t{1} << 63;

// `first` and, if there is one, `second`.
std::vector<size_t> both(size_t first, std::optional<size_t> second) {
    return second ? std::vector{first, *second} : std::vector{first};
}

}  // namespace

const Buffer& CheckedProgram::at(size_t buffer) const {
    const std::vector<Buffer>& all = program_.buffers();
    require(buffer < all.size() && all[buffer].most == SIZE_MAX, "no buffer of that number");  // hidden ones are ours
    return all[buffer];
}

size_t CheckedProgram::width(size_t buffer) const { return at(buffer).row_bytes / sizeof(float); }

void CheckedProgram::require_floats(size_t buffer, RowsOf rows, size_t width) const {
    require(at(buffer).rows == rows, "a buffer of the wrong rows: of all tokens, or of those wanted");
    require(at(buffer).row_bytes == width * sizeof(float), "a buffer of the wrong width");
}

void CheckedProgram::require_int8s(size_t buffer, RowsOf rows, size_t width) const {
    require(at(buffer).rows == rows, "a buffer of the wrong rows: of all tokens, or of those wanted");
    require(width % kTile == 0, "int8 rows have a multiple of 32 columns");
    require(at(buffer).row_bytes == Int8Row::bytes(width), "a buffer of the wrong width");
}

void CheckedProgram::require_factors(Factors factors, RowsOf rows, Layout layout, size_t columns, size_t parts) const {
    const size_t width = product({parts, columns});
    is_float(layout) ? require_floats(factors.x, rows, width) : require_int8s(factors.x, rows, width);
    if (!factors.rest) return;
    require(!is_float(layout), "only int8 rows leave a residual");
    require_int8s(*factors.rest, rows, width);
}

void CheckedProgram::record(std::string name, std::unique_ptr<Instruction> instruction,
                            const std::vector<size_t>& reads, size_t write) {
    require(std::find(reads.begin(), reads.end(), write) == reads.end(), "an instruction cannot replace its input");
    record_in_place(std::move(name), std::move(instruction), reads, write);
}

void CheckedProgram::record_in_place(std::string name, std::unique_ptr<Instruction> instruction,
                                     const std::vector<size_t>& reads, size_t write) {
    require(!admitted_, "a program that has run is complete");
    program_.add(std::move(name), std::move(instruction), reads, {write});
}

void CheckedProgram::remember(const Cache& cache) {
    if (std::find(caches_.begin(), caches_.end(), cache) == caches_.end()) caches_.push_back(cache);
}

size_t CheckedProgram::number(const SharedDeal& deal) const {
    const auto found = std::find(deals_.begin(), deals_.end(), deal);
    require(found != deals_.end(), "a deal that no router of this program fills");
    return kDeals + static_cast<size_t>(found - deals_.begin());
}

size_t CheckedProgram::buffer(RowsOf rows, size_t row_bytes) {
    require(!admitted_, "a program that has run is complete");
    require(row_bytes % sizeof(float) == 0, "rows are a multiple of four bytes");
    return program_.add_buffer({rows, row_bytes});
}

void CheckedProgram::embed(const Matrix& table, size_t out) {
    require_floats(out, RowsOf::kTokens, table->columns());
    record("embed", make_embed(table, out), {}, out);
    vocab_ = std::min(vocab_, table->rows());
}

void CheckedProgram::rms_norm(size_t x, std::vector<float> weight, float eps, size_t out) {
    const RowsOf rows = at(out).rows;
    require(!weight.empty() && width(out) % weight.size() == 0, "a norm whose weight is no whole part of a row");
    require_floats(x, rows, width(out));
    record_in_place("rms_norm", make_rms_norm(rows, x, width(out), std::move(weight), eps, out), {x}, out);
}

void CheckedProgram::quantise(size_t x, size_t out) {
    require_int8s(out, at(x).rows, width(x));
    record("quantise", make_quantise(at(x).rows, x, width(x), out), {x}, out);
}

void CheckedProgram::residual(size_t x, size_t rounded, size_t out) {
    require_int8s(rounded, at(x).rows, width(x));
    require_int8s(out, at(x).rows, width(x));
    record("residual", make_residual(at(x).rows, x, rounded, width(x), out), {x, rounded}, out);
}

void CheckedProgram::linear(size_t x, std::optional<size_t> rest, const Matrix& weight, size_t out) {
    const RowsOf rows = at(out).rows;
    require_factors({x, rest}, rows, weight->layout(), weight->columns(), 1);
    require_floats(out, rows, weight->rows());
    record("linear", make_linear(rows, x, rest, weight, out), both(x, rest), out);
}

void CheckedProgram::down(size_t x, const Matrix& matrix, size_t adapter, size_t out) {
    require(is_float(matrix->layout()), "adapters have float matrices");
    require_floats(x, at(out).rows, matrix->columns());
    require_floats(out, at(out).rows, matrix->rows());
    record("down", make_down(at(out).rows, x, matrix, adapter, out), {x}, out);
}

void CheckedProgram::up(size_t x, const Matrix& matrix, size_t adapter, float scale, size_t out) {
    require(is_float(matrix->layout()), "adapters have float matrices");
    require(x != out, "an instruction cannot replace its input");
    require_floats(x, at(out).rows, matrix->columns());
    require_floats(out, at(out).rows, matrix->rows());
    record_in_place("up", make_up(at(out).rows, x, matrix, adapter, scale, out), {x, out}, out);
}

void CheckedProgram::angles(std::vector<double> frequencies, double magnitude, size_t out) {
    require_floats(out, RowsOf::kTokens, 2 * frequencies.size());
    record("angles", make_angles(std::move(frequencies), magnitude, out), {}, out);
}

void CheckedProgram::rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out) {
    require(dim % 2 == 0 && dim <= head_dim, "rope turns an even number of components, at most all");
    require(head_dim > 0 && heads == width(x) / head_dim, "a buffer of the wrong width");
    require_floats(x, RowsOf::kTokens, heads * head_dim);
    require_floats(angles, RowsOf::kTokens, dim);
    require_floats(out, RowsOf::kTokens, heads * head_dim);
    record("rope", make_rope(x, angles, heads, head_dim, dim, out), {x, angles}, out);
}

void CheckedProgram::store(size_t k, size_t v, const Cache& cache, size_t layer) {
    require(layer < cache->layers(), "a layer that the cache does not have");
    require_floats(k, RowsOf::kTokens, cache->kv_heads() * cache->head_dim());
    require_floats(v, RowsOf::kTokens, cache->kv_heads() * cache->head_dim());
    record("store", make_store(k, v, cache, layer), {k, v}, kCaches + layer);
    remember(cache);
}

void CheckedProgram::attend(size_t q, const Cache& cache, size_t layer, size_t heads, Scoring scoring, size_t out) {
    require(layer < cache->layers(), "a layer that the cache does not have");
    require(heads > 0 && heads % cache->kv_heads() == 0, "query heads are a multiple of key/value heads");
    require(heads == width(q) / cache->head_dim(), "a buffer of the wrong width");
    require(scoring.temperature != 1, "temperatures begin at two positions, as the logarithm of one is zero");
    require_floats(q, RowsOf::kTokens, heads * cache->head_dim());
    require_floats(out, RowsOf::kTokens, heads * cache->head_dim());
    record("attend", make_attend(q, cache, layer, heads, scoring, out), {q, kCaches + layer}, out);
    remember(cache);
}

void CheckedProgram::gated(size_t gate, size_t up, Activation activation, size_t out) {
    const RowsOf rows = at(out).rows;
    require_floats(gate, rows, width(out));
    require_floats(up, rows, width(out));
    record_in_place("gated", make_gated(rows, gate, up, width(out), activation, out), {gate, up}, out);
}

void CheckedProgram::add(size_t x, size_t y, size_t out) {
    const RowsOf rows = at(out).rows;
    require_floats(x, rows, width(out));
    require_floats(y, rows, width(out));
    record_in_place("add", make_add(rows, x, y, width(out), out), {x, y}, out);
}

void CheckedProgram::shift(size_t x, std::vector<float> bias, size_t out) {
    const RowsOf rows = at(out).rows;
    require_floats(x, rows, bias.size());
    require_floats(out, rows, bias.size());
    record_in_place("shift", make_shift(rows, x, std::move(bias), out), {x}, out);
}

void CheckedProgram::softcap(size_t x, float cap, size_t out) {
    require(cap > 0, "a cap is positive");
    require_floats(x, at(out).rows, width(out));
    record_in_place("softcap", make_softcap(at(out).rows, x, cap, width(out), out), {x}, out);
}

void CheckedProgram::scale(size_t x, float factor, size_t out) {
    require_floats(x, at(out).rows, width(out));
    record_in_place("scale", make_scale(at(out).rows, x, factor, width(out), out), {x}, out);
}

void CheckedProgram::select(size_t x, size_t out) {
    require_floats(x, RowsOf::kTokens, width(out));
    require_floats(out, RowsOf::kWanted, width(out));
    record("select", make_select(x, width(out), out), {x}, out);
}

void CheckedProgram::route(size_t logits, bool renormalised, const SharedDeal& deal) {
    require(!deal->taken, "a deal is filled by one router");
    require_floats(logits, RowsOf::kTokens, deal->experts);
    const size_t number = kDeals + deals_.size();
    record("route", make_route(logits, renormalised, deal), {logits}, number);
    record_in_place("group", make_group(deal), {number}, number);
    deals_.push_back(deal);
    deal->taken = true;
}

void CheckedProgram::deal(size_t x, const SharedDeal& deal, size_t out) {
    const size_t row_bytes = at(x).row_bytes;
    require(at(x).rows == RowsOf::kTokens && at(out).rows == RowsOf::kTokens, "only rows of all tokens are dealt");
    require(at(out).row_bytes == product({deal->selected, row_bytes}), "a buffer of the wrong width");
    record("deal", make_deal(x, row_bytes, deal, out), {x, number(deal)}, out);
}

void CheckedProgram::combine(size_t x, const SharedDeal& deal, size_t out) {
    require_floats(x, RowsOf::kTokens, product({deal->selected, width(out)}));
    require_floats(out, RowsOf::kTokens, width(out));
    record("combine", make_combine(x, width(out), deal, out), {x, number(deal)}, out);
}

void CheckedProgram::fetch(const SharedDeal& deal, std::vector<SharedStack> stacks) {
    std::set<size_t> pools;
    for (const SharedStack& stack : stacks) {
        require(stack && stack->offsets.size() == deal->experts, "a matrix for every expert");
        require(pools.insert(stack->pool).second, "matrices of an expert that wait for one another's slots");
    }
    const size_t number = this->number(deal);
    note_fetched(deal, stacks);
    program_.add("fetch", make_fetch(deal, std::move(stacks)), {number}, {number, kFetched});
}

// The store knows of one layer at a time, or of all layers without experts: all of it is multiplied with before more is
// fetched.
void CheckedProgram::note_fetched(const SharedDeal& deal, const std::vector<SharedStack>& stacks) {
    require(!admitted_, "a program that has run is complete");
    require(!stacks.empty(), "a layer has stacks of experts");
    require(fetched_.empty(), "experts that are fetched and not multiplied with");
    const SharedStore store = stacks.front()->store.shared_from_this();
    for (const SharedStack& stack : stacks) {
        require(&stack->store == store.get() && (store_ == nullptr || store_ == store), "experts of two stores");
        require(std::count(stacks.begin(), stacks.end(), stack) == 1, "a matrix that is fetched twice");
    }
    for (const SharedStack& stack : stacks) fetched_.emplace_back(deal, stack);
    store_ = store;
    program_.borrow([store = store_.get()](size_t bytes) { return store->lend(bytes); });
}

void CheckedProgram::fetch_layers(std::vector<SharedStack> stacks) {
    require(store_ == nullptr, "layers are fetched once, and no experts beside them");
    for (const SharedStack& stack : stacks) require(stack && stack->offsets.size() == 1, "a matrix for every layer");
    note_fetched(nullptr, stacks);
    record("fetch", make_fetch_layers(std::move(stacks)), {}, kFetched);
}

void CheckedProgram::stored_linear(size_t x, std::optional<size_t> rest, const SharedStack& stack, size_t out) {
    const auto found = std::find(fetched_.begin(), fetched_.end(), std::pair(SharedDeal(), stack));
    require(found != fetched_.end(), "a matrix that is not fetched, or has been multiplied with already");
    const RowsOf rows = at(out).rows;
    require_factors({x, rest}, rows, stack->layout, stack->columns, 1);
    require_floats(out, rows, stack->rows);
    std::vector<size_t> reads = both(x, rest);
    reads.push_back(kFetched);
    record("linear", make_stored_linear(rows, x, rest, stack, out), reads, out);
    fetched_.erase(found);
}

void CheckedProgram::mixture(Factors gate, Factors up, std::array<std::vector<Matrix>, 3> matrices, bool precise,
                             Activation activation, const SharedDeal& deal, size_t out) {
    for (const auto& all : matrices) {
        require(all.size() == deal->experts, "a matrix for every expert");
        for (const Matrix& one : all) {
            require(one && one->layout() == all[0]->layout() && one->rows() == all[0]->rows() &&
                        one->columns() == all[0]->columns(),
                    "experts of different shapes");
        }
    }
    add_mixture(gate, up, resident_experts(std::move(matrices)), precise, activation, deal, out);
}

void CheckedProgram::mixture(Factors gate, Factors up, std::vector<SharedStack> stacks, bool precise,
                             Activation activation, const SharedDeal& deal, size_t out) {
    auto left = fetched_;
    for (const SharedStack& stack : stacks) {
        const auto found = std::find(left.begin(), left.end(), std::pair(deal, stack));
        require(found != left.end(), "experts that are not fetched, or have been multiplied with already");
        left.erase(found);
    }
    add_mixture(gate, up, stored_experts(std::move(stacks)), precise, activation, deal, out);
    fetched_ = std::move(left);
}

void CheckedProgram::add_mixture(Factors gate, Factors up, std::unique_ptr<Experts> experts, bool precise,
                                 Activation activation, const SharedDeal& deal, size_t out) {
    const size_t selected = deal->selected;
    const Experts::Shape &first = experts->gate(), &second = experts->up(), &last = experts->down();
    require_factors(gate, RowsOf::kTokens, first.layout, first.columns, selected);
    require_factors(up, RowsOf::kTokens, second.layout, second.columns, selected);
    require(first.rows == second.rows && first.rows == last.columns, "gates, ups and downs that do not fit");
    require(!(precise && is_float(last.layout)), "only int8 rows leave a residual");
    require_floats(out, RowsOf::kTokens, product({selected, last.rows}));
    const size_t row_bytes = is_float(last.layout) ? last.columns * sizeof(float) : Int8Row::bytes(last.columns);
    require(!admitted_, "a program that has run is complete");
    std::vector<size_t> reads{number(deal), kFetched};
    for (const Factors& factors : {gate, up}) {
        for (const size_t buffer : both(factors.x, factors.rest)) reads.push_back(buffer);
    }
    require(std::find(reads.begin(), reads.end(), out) == reads.end(), "an instruction cannot replace its input");
    Hidden hidden{this->hidden(selected, row_bytes, 0), std::nullopt, row_bytes};
    if (precise) hidden.rest = this->hidden(selected, row_bytes, 1);
    std::vector<size_t> writes = both(hidden.x, hidden.rest);
    writes.push_back(out);
    const auto dealt = [&](const Factors& f) { return Dealt{f.x, f.rest, at(f.x).row_bytes / selected}; };
    program_.add("mixture", make_mixture(dealt(gate), dealt(up), std::move(experts), activation, deal, hidden, out),
                 reads, writes);
}

// A buffer for hidden rows, of one expert and token each: the first or the second of such rows.
size_t CheckedProgram::hidden(size_t selected, size_t row_bytes, size_t number) {
    const auto [found, fresh] = hidden_.try_emplace({selected, row_bytes, number});
    if (fresh) {
        const size_t row = product({selected, row_bytes});
        found->second = program_.add_buffer({RowsOf::kTokens, row, hidden_tokens(selected)});
    }
    return found->second;
}

CheckedProgram::Shape CheckedProgram::admit(const ThreadPool& pool, const Step& step, size_t result) {
    pool.check_process();
    const Shape shape{step.rows(at(result).rows), width(result)};
    step.check(vocab_);
    for (const Cache& cache : caches_) step.check_pages(cache->pages(), cache->page_size());
    require(fetched_.empty(), "experts that are fetched and not multiplied with");
    if (store_) store_->check_ready();
    admitted_ = true;
    return shape;
}

void CheckedProgram::run(ThreadPool& pool, const Step& step, size_t result, float* output) {
    const std::scoped_lock lock(one_step_);
    if (!store_) return program_.run(pool, step, result, output);
    const std::scoped_lock alone(store_->one_step);
    program_.run(pool, step, result, output);
    store_->check_reads();
}

}  // namespace gadfly

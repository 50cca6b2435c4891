// The Python face of the native code: checks shapes, releases the interpreter lock, calls. No algorithm lives here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "runtime/experts.h"
#include "runtime/instructions.h"
#include "runtime/probe.h"

namespace nb = nanobind;

namespace gadfly {
namespace {

using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatVector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ByteMatrix = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

std::span<const int32_t> view(const Ints& a) { return {a.data(), a.size()}; }

Layout layout_named(const std::string& name) {
    if (name == "F32") return Layout::kFloat32;
    if (name == "F16") return Layout::kFloat16;
    if (name == "BF16") return Layout::kBFloat16;
    if (name == "Q4_0") return Layout::kInt4Symmetric;
    if (name == "Q4_1") return Layout::kInt4;
    if (name == "I8") return Layout::kInt8BFloat;
    require(name == "Q8_0", "no native layout of that name");
    return Layout::kInt8;
}

const Kernels& kernels_named(const std::string& name) {
    for (const Kernels* kernels : available_kernels()) {
        if (kernels->name == name) return *kernels;
    }
    throw std::invalid_argument("this processor has no kernels named " + name);
}

std::vector<std::string> kernel_names() {
    std::vector<std::string> names;
    for (const Kernels* kernels : available_kernels()) names.emplace_back(kernels->name);
    return names;
}

std::shared_ptr<PackedMatrix> make_matrix(const std::string& layout, size_t rows, size_t columns) {
    const Layout kind = layout_named(layout);
    require(rows > 0 && columns > 0, "a matrix needs rows and columns");
    require(is_float(kind) || columns % kTile == 0, "columns of an integer layout are a multiple of 32");
    return std::make_shared<PackedMatrix>(kind, rows, columns);
}

void fill(PackedMatrix& matrix, size_t first, const ByteMatrix& blocks) {
    require(first + blocks.shape(0) <= matrix.rows(), "more rows than the matrix has");
    require(blocks.shape(1) == file_row_bytes(matrix.layout(), matrix.columns()), "rows of the wrong length");
    const nb::gil_scoped_release release;
    matrix.fill(first, blocks.shape(0), blocks.data());
}

void fill_rounded(PackedMatrix& matrix, size_t first, const FloatMatrix& values) {
    require(matrix.layout() == Layout::kInt8, "only Q8_0 matrices are filled by rounding");
    require(first + values.shape(0) <= matrix.rows(), "more rows than the matrix has");
    require(values.shape(1) == matrix.columns(), "rows of the wrong length");
    const nb::gil_scoped_release release;
    matrix.fill_rounded(first, values.shape(0), values.data());
}

std::shared_ptr<PagedCache> make_cache(size_t layers, size_t pages, size_t page_size, size_t kv_heads,
                                       size_t head_dim) {
    require(page_size > 0 && page_size % 16 == 0, "page_size is a multiple of 16");
    require(head_dim > 0 && head_dim % 8 == 0, "head_dim is a multiple of 8");
    require(layers > 0 && pages > 0 && kv_heads > 0, "a cache needs layers, pages and heads");
    return std::make_shared<PagedCache>(layers, pages, page_size, kv_heads, head_dim);
}

SharedDeal make_shared_deal(size_t experts, size_t selected) {
    require(0 < selected && selected <= experts, "tokens go to at least one expert and at most to all");
    return std::make_shared<Deal>(Deal{experts, selected, {}, {}, std::vector<size_t>(experts)});
}

using Int8Codes = nb::ndarray<const int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using BFloatScales = nb::ndarray<const uint16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void fill_transposed(PackedMatrix& matrix, const Int8Codes& codes, const BFloatScales& scales) {
    require(matrix.layout() == Layout::kInt8BFloat, "only I8 matrices are filled from transposed codes");
    require(codes.shape(0) == matrix.columns() && codes.shape(1) == matrix.rows(), "codes are (columns, rows)");
    const size_t groups = scales.shape(0);
    require(scales.shape(1) == matrix.rows() && groups > 0 && matrix.columns() % groups == 0 &&
                matrix.columns() / groups % kTile == 0,
            "scales are (groups, rows), groups of a multiple of 32 columns");
    const nb::gil_scoped_release release;
    matrix.fill_transposed(codes.data(), scales.data(), groups);
}

// Checks and remembers what a program's instructions assume about every step, so that no batch can reach outside.
class Recorder {
  public:
    explicit Recorder(const std::string& kernels) : program_(kernels_named(kernels)) {}

    size_t buffer(bool wanted, size_t row_bytes) {
        return program_.add_buffer(wanted ? RowsOf::kWanted : RowsOf::kTokens, row_bytes);
    }
    void embed(const Matrix& table, size_t out) {
        vocab_ = std::min(vocab_, table->rows());
        program_.add(make_embed(table, out), {}, {out});
    }
    void rms_norm(bool wanted, size_t x, const FloatVector& weight, float eps, size_t out) {
        Floats copy(weight.data(), weight.data() + weight.size());
        program_.add(make_rms_norm(rows(wanted), x, std::move(copy), eps, out), {x}, {out});
    }
    void quantise(bool wanted, size_t x, size_t width, size_t parts, size_t out) {
        require(width % kTile == 0, "int8 rows have a multiple of 32 columns");
        program_.add(make_quantise(rows(wanted), x, width, parts, out), {x}, {out});
    }
    void residual(bool wanted, size_t x, size_t rounded, size_t width, size_t out) {
        program_.add(make_residual(rows(wanted), x, rounded, width, out), {x, rounded}, {out});
    }
    void linear(bool wanted, size_t x, const Matrix& weight, size_t out) {
        program_.add(make_linear(rows(wanted), x, weight, out), {x}, {out});
    }
    void angles(std::vector<double> frequencies, size_t out) {
        program_.add(make_angles(std::move(frequencies), out), {}, {out});
    }
    void rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out) {
        require(dim % 2 == 0 && dim <= head_dim, "rope turns an even number of components, at most all");
        program_.add(make_rope(x, angles, heads, head_dim, dim, out), {x, angles}, {out});
    }
    void store(size_t k, size_t v, const Cache& cache, size_t layer) {
        caches_.push_back(cache);
        program_.add(make_store(k, v, cache, layer), {k, v}, {kCaches + layer});
    }
    void attend(size_t q, const Cache& cache, size_t layer, size_t heads, float scale, float softcap, size_t out) {
        require(heads % cache->kv_heads() == 0, "query heads are a multiple of key/value heads");
        program_.add(make_attend(q, cache, layer, heads, scale, softcap, out), {q, kCaches + layer}, {out});
    }
    void gated(bool wanted, size_t gate, size_t up, size_t width, const std::string& activation, size_t out) {
        require(activation == "silu" || activation == "gelu", "no native activation of that name");
        const Activation kind = activation == "silu" ? Activation::kSilu : Activation::kGelu;
        program_.add(make_gated(rows(wanted), gate, up, width, kind, out), {gate, up}, {out});
    }
    void add(bool wanted, size_t x, size_t y, size_t width, size_t out) {
        program_.add(make_add(rows(wanted), x, y, width, out), {x, y}, {out});
    }
    void scale(bool wanted, size_t x, float factor, size_t width, size_t out) {
        program_.add(make_scale(rows(wanted), x, factor, width, out), {x}, {out});
    }
    void route(size_t logits, const SharedDeal& deal, size_t out) {
        program_.add(make_route(logits, deal, out), {logits}, {out});
    }
    void group(size_t choices, const SharedDeal& deal) {
        program_.add(make_group(choices, deal), {choices}, {resource(deal)});
    }
    void deal(size_t x, size_t row_bytes, const SharedDeal& deal, size_t out) {
        program_.add(make_deal(x, row_bytes, deal, out), {x, resource(deal)}, {out});
    }
    void expert(size_t x, size_t row_bytes, std::vector<Matrix> weights, const SharedDeal& deal, size_t out) {
        require(weights.size() == deal->experts, "a matrix for every expert");
        program_.add(make_expert(x, row_bytes, std::move(weights), deal, out), {x, resource(deal)}, {out});
    }
    void combine(size_t x, size_t choices, size_t width, const SharedDeal& deal, size_t out) {
        program_.add(make_combine(x, choices, width, deal, out), {x, choices, resource(deal)}, {out});
    }
    void select(size_t x, size_t width, size_t out) { program_.add(make_select(x, width, out), {x}, {out}); }

    nb::ndarray<nb::numpy, float> run(ThreadPool& pool, const Ints& tokens, const Ints& positions, const Ints& starts,
                                      const Ints& page_ids, const Ints& page_starts, const Ints& wanted, size_t result,
                                      bool result_wanted, size_t width) {
        const Step step{view(tokens), view(positions), view(starts), view(page_ids), view(page_starts), view(wanted)};
        check(step);
        const size_t rows = result_wanted ? step.wanted.size() : step.tokens.size();
        auto output = std::make_unique<float[]>(std::max<size_t>(rows * width, 1));
        {
            const nb::gil_scoped_release release;
            const std::scoped_lock lock(one_step_);
            program_.run(pool, step, result, output.get());
        }
        float* data = output.release();
        nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
        return nb::ndarray<nb::numpy, float>(data, {rows, width}, owner);
    }

  private:
    static constexpr size_t kCaches = size_t{1} << 32;  // resource numbers of the caches' layers, beyond all buffers
    static size_t resource(const SharedDeal& deal) { return reinterpret_cast<size_t>(deal.get()); }
    static RowsOf rows(bool wanted) { return wanted ? RowsOf::kWanted : RowsOf::kTokens; }

    void check(const Step& step) const {
        const size_t tokens = step.tokens.size();
        require(tokens > 0 && step.positions.size() == tokens, "a step has tokens, each with a position");
        for (const int32_t token : step.tokens) {
            require(token >= 0 && static_cast<size_t>(token) < vocab_, "a token outside the vocabulary");
        }
        for (const int32_t row : step.wanted) {
            require(row >= 0 && static_cast<size_t>(row) < tokens, "a wanted row outside the step");
        }
        require(step.starts.size() >= 2 && step.starts.front() == 0 &&
                    static_cast<size_t>(step.starts.back()) == tokens &&
                    step.page_starts.size() == step.starts.size() && step.page_starts.front() == 0 &&
                    static_cast<size_t>(step.page_starts.back()) == step.page_ids.size(),
                "sequences have to cover the step's tokens and pages");
        for (size_t s = 0; s + 1 < step.starts.size(); s++) {
            require(step.starts[s] < step.starts[s + 1] && step.page_starts[s] <= step.page_starts[s + 1],
                    "sequences have to be in order and not empty");
        }
        for (const Cache& cache : caches_) check_pages(step, *cache);
    }

    static void check_pages(const Step& step, const PagedCache& cache) {
        for (const int32_t page : step.page_ids) {
            require(page >= 0 && static_cast<size_t>(page) < cache.pages(), "a page outside the cache");
        }
        for (size_t s = 0; s + 1 < step.starts.size(); s++) {
            const auto pages = static_cast<size_t>(step.page_starts[s + 1] - step.page_starts[s]);
            for (auto row = static_cast<size_t>(step.starts[s]); row < static_cast<size_t>(step.starts[s + 1]); row++) {
                const int32_t position = step.positions[row];
                require(position >= 0 && static_cast<size_t>(position) < pages * cache.page_size(),
                        "a position beyond its sequence's pages");
            }
        }
    }

    Program program_;
    std::mutex one_step_;
    size_t vocab_ = SIZE_MAX;
    std::vector<Cache> caches_;
};

}  // namespace
}  // namespace gadfly

NB_MODULE(_native, m) {
    using namespace gadfly;
    m.doc() = "Gadfly's native kernels and the runtime that drives them.";
    m.def("kernel_names", &kernel_names, "Kernels that this processor can execute, fastest first.");
    m.def("int8_row_bytes", &Int8Row::bytes, nb::arg("width"), "Bytes of an activation row quantised to int8.");

    nb::class_<ThreadPool>(m, "ThreadPool")
        .def(nb::init<size_t>(), nb::arg("threads"))
        .def_prop_ro("threads", &ThreadPool::threads);
    m.def("read_bandwidth", &read_bandwidth, nb::arg("pool"), nb::arg("bytes"), nb::arg("rounds"),
          nb::call_guard<nb::gil_scoped_release>(), "Bytes per second that the pool's threads read from memory.");

    nb::class_<PackedMatrix>(m, "PackedMatrix")
        .def(nb::new_(&make_matrix), nb::arg("layout"), nb::arg("rows"), nb::arg("columns"))
        .def("fill", &fill, nb::arg("first"), nb::arg("blocks"))
        .def("fill_rounded", &fill_rounded, nb::arg("first"), nb::arg("values"))
        .def("fill_transposed", &fill_transposed, nb::arg("codes"), nb::arg("scales"))
        .def_prop_ro("rows", &PackedMatrix::rows)
        .def_prop_ro("columns", &PackedMatrix::columns)
        .def_prop_ro("bytes", &PackedMatrix::bytes)
        .def_prop_ro("is_float", [](const PackedMatrix& matrix) { return is_float(matrix.layout()); });

    nb::class_<PagedCache>(m, "PagedCache")
        .def(nb::new_(&make_cache), nb::arg("layers"), nb::arg("pages"), nb::arg("page_size"), nb::arg("kv_heads"),
             nb::arg("head_dim"));

    nb::class_<Deal>(m, "Deal")
        .def(nb::new_(&make_shared_deal), nb::arg("experts"), nb::arg("selected"))
        .def_ro("used", &Deal::used);

    nb::class_<Recorder>(m, "Program")
        .def(nb::init<const std::string&>(), nb::arg("kernels"))
        .def("buffer", &Recorder::buffer, nb::arg("wanted"), nb::arg("row_bytes"))
        .def("embed", &Recorder::embed, nb::arg("table"), nb::arg("out"))
        .def("rms_norm", &Recorder::rms_norm, nb::arg("wanted"), nb::arg("x"), nb::arg("weight"), nb::arg("eps"),
             nb::arg("out"))
        .def("quantise", &Recorder::quantise, nb::arg("wanted"), nb::arg("x"), nb::arg("width"), nb::arg("parts"),
             nb::arg("out"))
        .def("residual", &Recorder::residual, nb::arg("wanted"), nb::arg("x"), nb::arg("rounded"), nb::arg("width"),
             nb::arg("out"))
        .def("linear", &Recorder::linear, nb::arg("wanted"), nb::arg("x"), nb::arg("weight"), nb::arg("out"))
        .def("angles", &Recorder::angles, nb::arg("frequencies"), nb::arg("out"))
        .def("rope", &Recorder::rope, nb::arg("x"), nb::arg("angles"), nb::arg("heads"), nb::arg("head_dim"),
             nb::arg("dim"), nb::arg("out"))
        .def("store", &Recorder::store, nb::arg("k"), nb::arg("v"), nb::arg("cache"), nb::arg("layer"))
        .def("attend", &Recorder::attend, nb::arg("q"), nb::arg("cache"), nb::arg("layer"), nb::arg("heads"),
             nb::arg("scale"), nb::arg("softcap"), nb::arg("out"))
        .def("gated", &Recorder::gated, nb::arg("wanted"), nb::arg("gate"), nb::arg("up"), nb::arg("width"),
             nb::arg("activation"), nb::arg("out"))
        .def("add", &Recorder::add, nb::arg("wanted"), nb::arg("x"), nb::arg("y"), nb::arg("width"), nb::arg("out"))
        .def("scale", &Recorder::scale, nb::arg("wanted"), nb::arg("x"), nb::arg("factor"), nb::arg("width"),
             nb::arg("out"))
        .def("route", &Recorder::route, nb::arg("logits"), nb::arg("deal"), nb::arg("out"))
        .def("group", &Recorder::group, nb::arg("choices"), nb::arg("deal"))
        .def("deal", &Recorder::deal, nb::arg("x"), nb::arg("row_bytes"), nb::arg("deal"), nb::arg("out"))
        .def("expert", &Recorder::expert, nb::arg("x"), nb::arg("row_bytes"), nb::arg("weights"), nb::arg("deal"),
             nb::arg("out"))
        .def("combine", &Recorder::combine, nb::arg("x"), nb::arg("choices"), nb::arg("width"), nb::arg("deal"),
             nb::arg("out"))
        .def("select", &Recorder::select, nb::arg("x"), nb::arg("width"), nb::arg("out"))
        .def("run", &Recorder::run, nb::arg("pool"), nb::arg("tokens"), nb::arg("positions"), nb::arg("starts"),
             nb::arg("page_ids"), nb::arg("page_starts"), nb::arg("wanted"), nb::arg("result"),
             nb::arg("result_wanted"), nb::arg("width"));
}

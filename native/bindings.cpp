// The Python face of the native code: checks shapes, releases the interpreter lock, calls. No algorithm lives here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "formats/size.h"
#include "runtime/checked_program.h"
#include "runtime/encode.h"
#include "runtime/pack.h"
#include "runtime/probe.h"
#include "runtime/require.h"

namespace nb = nanobind;

namespace gadfly {
namespace {

using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatVector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Int8Codes = nb::ndarray<const int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using BFloatScales = nb::ndarray<const uint16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using WritableBytes = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ByteMatrix = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::vector<int32_t> copy(const Ints& a) { return {a.data(), a.data() + a.size()}; }

Layout layout_named(const std::string& name) {
    constexpr std::string_view kNames[] = {"F32", "F16",    "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
                                           "I8",  "IQ4_NL", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"};
    const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);  // in the order of Layout
    require(found != std::end(kNames), "no native layout of that name");
    return static_cast<Layout>(found - std::begin(kNames));
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

Layout checked_layout(const std::string& layout, size_t rows, size_t columns) {
    const Layout kind = layout_named(layout);
    require(rows > 0 && columns > 0, "a matrix needs rows and columns");
    require(columns % columns_unit(kind) == 0, "columns that are not whole blocks of the layout");
    return kind;
}

std::shared_ptr<PackedMatrix> make_matrix(const std::string& layout, size_t rows, size_t columns) {
    return std::make_shared<PackedMatrix>(checked_layout(layout, rows, columns), rows, columns);
}

size_t checked_packed_bytes(const std::string& layout, size_t rows, size_t columns) {
    return packed_bytes(checked_layout(layout, rows, columns), rows, columns);
}

// The matrix keeps whoever owns the bytes alive.
std::shared_ptr<PackedMatrix> matrix_over(const std::string& layout, size_t rows, size_t columns, const Bytes& packed) {
    const Layout kind = checked_layout(layout, rows, columns);
    require(packed.size() == packed_bytes(kind, rows, columns), "packed bytes of the wrong length");
    require(reinterpret_cast<uintptr_t>(packed.data()) % kCacheLine == 0, "packed bytes that are not aligned");
    const auto* const data = reinterpret_cast<const std::byte*>(packed.data());
    return std::make_shared<PackedMatrix>(kind, rows, columns, std::make_shared<Bytes>(packed), data);
}

nb::ndarray<nb::numpy, const uint8_t, nb::ndim<1>> packed(const nb::handle_t<PackedMatrix>& self) {
    const auto& matrix = nb::cast<const PackedMatrix&>(self);
    return {matrix.strip(0), {matrix.bytes()}, self};
}

void require_rows(const PackedMatrix& matrix, size_t first, size_t count) {
    require(first <= matrix.rows() && count <= matrix.rows() - first, "more rows than the matrix has");
}

void fill_rows(PackedMatrix& matrix, ThreadPool& pool, size_t first, const ByteMatrix& blocks) {
    require(matrix.layout() != Layout::kI8, "I8 matrices are filled from transposed codes");
    require(matrix.can_be_filled(), "a matrix over borrowed bytes");
    require_rows(matrix, first, blocks.shape(0));
    require(blocks.shape(1) == file_row_bytes(matrix.layout(), matrix.columns()), "rows of the wrong length");
    const nb::gil_scoped_release release;
    fill(pool, matrix, first, blocks.shape(0), blocks.data());
}

void fill_codes(PackedMatrix& matrix, ThreadPool& pool, const Int8Codes& codes, const BFloatScales& scales) {
    require(matrix.layout() == Layout::kI8, "only I8 matrices are filled from transposed codes");
    require(matrix.can_be_filled(), "a matrix over borrowed bytes");
    require(codes.shape(0) == matrix.columns() && codes.shape(1) == matrix.rows(), "codes are (columns, rows)");
    const size_t groups = scales.shape(0);
    require(scales.shape(1) == matrix.rows() && groups > 0 && matrix.columns() % groups == 0 &&
                matrix.columns() / groups % kTile == 0,
            "scales are (groups, rows), groups of a multiple of 32 columns");
    const nb::gil_scoped_release release;
    fill_transposed(pool, matrix, codes.data(), scales.data(), groups);
}

// Some of its rows as float32.
nb::ndarray<nb::numpy, float> decode_rows(const PackedMatrix& matrix, const Ints& rows) {
    const std::vector<int32_t> wanted = copy(rows);
    for (const int32_t row : wanted) {
        require(row >= 0 && static_cast<size_t>(row) < matrix.rows(), "more rows than the matrix has");
    }
    const size_t columns = matrix.columns();
    auto decoded = std::make_unique_for_overwrite<float[]>(product({wanted.size(), columns}));
    {
        const nb::gil_scoped_release release;
        for (size_t i = 0; i < wanted.size(); i++) {
            matrix.row(static_cast<size_t>(wanted[i]), decoded.get() + i * columns);
        }
    }
    const nb::capsule owner(decoded.get(), [](void* p) noexcept { delete[] static_cast<float*>(p); });
    return nb::ndarray<nb::numpy, float>(decoded.release(), {wanted.size(), columns}, owner);
}

std::shared_ptr<PagedCache> make_cache(size_t layers, size_t pages, size_t page_size, size_t kv_heads, size_t head_dim,
                                       bool half_values) {
    require(page_size > 0 && page_size % 16 == 0, "page_size is a multiple of 16");
    require(head_dim > 0 && head_dim % 8 == 0, "head_dim is a multiple of 8");
    require(layers > 0 && pages > 0 && kv_heads > 0, "a cache needs layers, pages and heads");
    return std::make_shared<PagedCache>(layers, pages, page_size, kv_heads, head_dim,
                                        half_values ? Values::kHalf : Values::kInt8);
}

SharedDeal make_shared_deal(size_t experts, size_t selected) {
    require(0 < selected && selected <= experts, "tokens go to at least one expert and at most to all");
    return std::make_shared<Deal>(experts, selected);
}

Format format_named(const std::string& name) {
    constexpr std::string_view kNames[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0",   "Q5_1",  "Q8_0",
                                           "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"};
    const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);  // in the order of Format
    require(found != std::end(kNames), "no native encoder of that name");
    return static_cast<Format>(found - std::begin(kNames));
}

Source source_named(const std::string& name) {
    if (name == "F32") return Source::kFloat32;
    if (name == "F16") return Source::kFloat16;
    if (name == "BF16") return Source::kBFloat16;
    require(name == "I8", "weights are F32, F16, BF16 or I8");
    return Source::kInt8;
}

// Weights are rows of F32, F16 or BF16 as bytes, or I8: codes (columns, rows) with scales (groups, rows). Fills
// `blocks` (n, bytes per row) from n rows. False if the format cannot hold a weight.
bool encode_rows(const std::string& kernels, ThreadPool& pool, const std::string& source, const ByteMatrix& weights,
                 const std::optional<BFloatScales>& scales, size_t first, const std::string& format,
                 const std::optional<FloatVector>& importance, const WritableBytes& blocks) {
    EncodeTask task{};
    task.format = format_named(format);
    task.source = source_named(source);
    task.weights = reinterpret_cast<const std::byte*>(weights.data());
    require(scales.has_value() == (task.source == Source::kInt8), "I8 weights have scales, and no others");
    if (scales) {
        task.matrix_columns = weights.shape(0);
        task.matrix_rows = weights.shape(1);
        const size_t groups = scales->shape(0);
        require(scales->shape(1) == task.matrix_rows && groups > 0 && task.matrix_columns % groups == 0 &&
                    task.matrix_columns / groups % 8 == 0,
                "scales are (groups, rows), groups of a multiple of 8 columns");
        task.scales = scales->data();
        task.columns_in_group = task.matrix_columns / groups;
    } else {
        const size_t bytes = source_bytes(task.source);
        require(weights.shape(1) % bytes == 0 && reinterpret_cast<uintptr_t>(weights.data()) % bytes == 0,
                "weights that are no whole floats");
        task.matrix_rows = weights.shape(0);
        task.matrix_columns = weights.shape(1) / bytes;
    }
    const BlockSize block = block_size(task.format);
    require(task.matrix_columns % block.weights == 0, "columns that are not whole blocks");
    task.row_bytes = task.matrix_columns / block.weights * block.bytes;
    task.first_row = first;
    task.rows = blocks.shape(0);
    require(first <= task.matrix_rows && task.rows <= task.matrix_rows - first, "more rows than the matrix has");
    require(blocks.shape(1) == task.row_bytes, "blocks are (rows, bytes per row)");
    if (importance) {
        require(importance->size() == task.matrix_columns, "importance is one number per column");
        task.importance = importance->data();
    }
    task.out = blocks.data();
    const Kernels& chosen = kernels_named(kernels);
    const nb::gil_scoped_release release;
    return encode(chosen, pool, task);
}

// Of stored experts, by the name of what is counted.
std::map<std::string, double> counts(const ExpertStore& store) {
    const ExpertStore::Counts found = store.counts();
    return {{"found", static_cast<double>(found.found)},
            {"missing", static_cast<double>(found.missing)},
            {"bytes", static_cast<double>(found.bytes)},
            {"reading", found.reading},
            {"waiting", found.waiting}};
}

SharedStack stack(ExpertStore& store, size_t pool, const std::string& layout, size_t rows, size_t columns,
                  std::vector<uint64_t> offsets, std::vector<size_t> files, bool filed) {
    return store.stack(pool, checked_layout(layout, rows, columns), rows, columns, std::move(offsets), std::move(files),
                       filed);
}

double multiply_rate_of(const std::string& kernels, bool floats) {
    const Kernels& chosen = kernels_named(kernels);
    const nb::gil_scoped_release release;
    return multiply_rate(chosen, floats);
}

RowsOf rows_of(bool wanted) { return wanted ? RowsOf::kWanted : RowsOf::kTokens; }

void rms_norm(CheckedProgram& program, size_t x, const FloatVector& weight, float eps, size_t out) {
    program.rms_norm(x, {weight.data(), weight.data() + weight.size()}, eps, out);
}

void shift(CheckedProgram& program, size_t x, const FloatVector& bias, size_t out) {
    program.shift(x, {bias.data(), bias.data() + bias.size()}, out);
}

void attend(CheckedProgram& program, size_t q, const Cache& cache, size_t layer, size_t heads, float scale,
            float softcap, size_t temperature, size_t window, size_t out) {
    program.attend(q, cache, layer, heads, {scale, softcap, temperature, window}, out);
}

Activation activation_named(const std::string& name) {
    if (name == "silu") return Activation::kSilu;
    if (name == "gelu") return Activation::kGelu;
    require(name == "gelu_erf", "no native activation of that name");
    return Activation::kGeluErf;
}

void gated(CheckedProgram& program, size_t gate, size_t up, const std::string& activation, size_t out) {
    program.gated(gate, up, activation_named(activation), out);
}

template <class Matrices, class AllThree>
void mixture(CheckedProgram& program, size_t gate_x, std::optional<size_t> gate_rest, size_t up_x,
             std::optional<size_t> up_rest, const Matrices& gate, const Matrices& up, const Matrices& down,
             bool precise, const std::string& activation, const SharedDeal& deal, size_t out) {
    program.mixture({gate_x, gate_rest}, {up_x, up_rest}, AllThree{gate, up, down}, precise,
                    activation_named(activation), deal, out);
}

std::vector<std::tuple<std::string, double, double>> costs(const CheckedProgram& program) {
    std::vector<std::tuple<std::string, double, double>> found;
    for (const auto& [name, working, waiting] : program.costs()) found.emplace_back(name, working, waiting);
    return found;
}

nb::ndarray<nb::numpy, float> run(CheckedProgram& program, ThreadPool& pool, const Ints& tokens, const Ints& positions,
                                  const Ints& starts, const Ints& page_ids, const Ints& page_starts, const Ints& wanted,
                                  const FloatMatrix& strengths, size_t result) {
    require(strengths.shape(1) == tokens.size(), "strengths are (adapters, tokens)");
    // Copies, as without the interpreter lock others could change the arrays.
    const Step step{copy(tokens),
                    copy(positions),
                    copy(starts),
                    copy(page_ids),
                    copy(page_starts),
                    copy(wanted),
                    {strengths.data(), strengths.data() + strengths.size()}};
    const auto [rows, columns] = program.admit(pool, step, result);
    auto output = std::make_unique_for_overwrite<float[]>(product({rows, columns}));
    {
        const nb::gil_scoped_release release;
        program.run(pool, step, result, output.get());
    }
    const nb::capsule owner(output.get(), [](void* p) noexcept { delete[] static_cast<float*>(p); });
    return nb::ndarray<nb::numpy, float>(output.release(), {rows, columns}, owner);
}

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

    m.def("multiply_rate", &multiply_rate_of, nb::arg("kernels"), nb::arg("floats"),
          "Products per second that one thread computes from registers, of floats or of int8.");

    m.def("encode", &encode_rows, nb::arg("kernels"), nb::arg("pool"), nb::arg("source"),
          nb::arg("weights").noconvert(), nb::arg("scales").noconvert().none(), nb::arg("first"), nb::arg("format"),
          nb::arg("importance").noconvert().none(), nb::arg("blocks").noconvert(),
          "Fill `blocks` from rows `first` on. False if a weight is no number or too large for the format.");

    m.def("packed_bytes", &checked_packed_bytes, nb::arg("layout"), nb::arg("rows"), nb::arg("columns"),
          "Bytes that a matrix packed in this layout takes.");

    nb::class_<PackedMatrix>(m, "PackedMatrix")
        .def(nb::new_(&make_matrix), nb::arg("layout"), nb::arg("rows"), nb::arg("columns"))
        .def_static("over", &matrix_over, nb::arg("layout"), nb::arg("rows"), nb::arg("columns"),
                    nb::arg("packed").noconvert(), "A matrix that lies packed in read-only bytes. It cannot be filled.")
        .def("fill", &fill_rows, nb::arg("pool"), nb::arg("first"), nb::arg("blocks").noconvert())
        .def("fill_transposed", &fill_codes, nb::arg("pool"), nb::arg("codes").noconvert(),
             nb::arg("scales").noconvert())
        .def("decode", &decode_rows, nb::arg("rows").noconvert(), "These rows as float32.")
        .def_prop_ro("rows", &PackedMatrix::rows)
        .def_prop_ro("columns", &PackedMatrix::columns)
        .def_prop_ro("bytes", &PackedMatrix::bytes)
        .def_prop_ro("packed", &packed)
        .def_prop_ro("is_exact", [](const PackedMatrix& matrix) { return matrix.layout() == Layout::kI8; })
        .def_prop_ro("is_float", [](const PackedMatrix& matrix) { return is_float(matrix.layout()); });

    nb::class_<PagedCache>(m, "PagedCache")
        .def(nb::new_(&make_cache), nb::arg("layers"), nb::arg("pages"), nb::arg("page_size"), nb::arg("kv_heads"),
             nb::arg("head_dim"), nb::arg("half_values"))
        .def_prop_ro("bytes", &PagedCache::bytes);

    nb::class_<Deal>(m, "Deal")
        .def(nb::new_(&make_shared_deal), nb::arg("experts"), nb::arg("selected"))
        .def_ro("used", &Deal::used);

    nb::exception<UnreadableExpert>(m, "UnreadableExpert", PyExc_OSError);
    nb::class_<ExpertStack>(m, "ExpertStack")
        .def_ro("rows", &ExpertStack::rows)
        .def_ro("columns", &ExpertStack::columns)
        .def_prop_ro("is_exact", [](const ExpertStack& stack) { return stack.layout == Layout::kI8; })
        .def_prop_ro("is_float", [](const ExpertStack& stack) { return is_float(stack.layout); });
    nb::class_<ExpertStore>(m, "ExpertStore")
        .def(nb::new_([](std::vector<std::string> paths) { return std::make_shared<ExpertStore>(std::move(paths)); }),
             nb::arg("paths"))
        .def("stack", &stack, nb::arg("pool"), nb::arg("layout"), nb::arg("rows"), nb::arg("columns"),
             nb::arg("offsets"), nb::arg("files"), nb::arg("filed"),
             "A matrix of every expert of a layer, from these bytes of those files on: packed, or rows as files hold "
             "them.")
        .def("reserve", &ExpertStore::reserve, nb::arg("bytes"), nb::arg("buffers"),
             "Take so much memory, of which the last `buffers` bytes are always for the buffers of steps.")
        .def_prop_ro("room", &ExpertStore::room, "Experts that have room in it, while steps are short.")
        .def_prop_ro("bytes_per_expert", &ExpertStore::bytes_per_expert)
        .def_prop_ro("bytes_to_pack", &ExpertStore::bytes_to_pack)
        .def_prop_ro("is_direct", &ExpertStore::is_direct, "Whether files are read past the system's cache.")
        .def_prop_ro("counts", &counts,
                     "Matrices found in memory and missing, bytes read, seconds of reading and of threads waiting.")
        .def_prop_ro("ranks", &ExpertStore::ranks,
                     "How often a lone token wanted an expert than which so many of its layer were wanted more.");

    nb::class_<CheckedProgram>(m, "Program")
        .def(nb::new_(
                 [](const std::string& kernels) { return std::make_shared<CheckedProgram>(kernels_named(kernels)); }),
             nb::arg("kernels"))
        .def(
            "buffer",
            [](CheckedProgram& program, bool wanted, size_t row_bytes) {
                return program.buffer(rows_of(wanted), row_bytes);
            },
            nb::arg("wanted"), nb::arg("row_bytes"))
        .def("embed", &CheckedProgram::embed, nb::arg("table"), nb::arg("out"))
        .def("rms_norm", &rms_norm, nb::arg("x"), nb::arg("weight").noconvert(), nb::arg("eps"), nb::arg("out"))
        .def("quantise", &CheckedProgram::quantise, nb::arg("x"), nb::arg("out"))
        .def("residual", &CheckedProgram::residual, nb::arg("x"), nb::arg("rounded"), nb::arg("out"))
        .def("linear", &CheckedProgram::linear, nb::arg("x"), nb::arg("rest").none(), nb::arg("weight"), nb::arg("out"))
        .def("down", &CheckedProgram::down, nb::arg("x"), nb::arg("matrix"), nb::arg("adapter"), nb::arg("out"))
        .def("up", &CheckedProgram::up, nb::arg("x"), nb::arg("matrix"), nb::arg("adapter"), nb::arg("scale"),
             nb::arg("out"))
        .def("angles", &CheckedProgram::angles, nb::arg("frequencies"), nb::arg("magnitude"), nb::arg("out"))
        .def("rope", &CheckedProgram::rope, nb::arg("x"), nb::arg("angles"), nb::arg("heads"), nb::arg("head_dim"),
             nb::arg("dim"), nb::arg("out"))
        .def("store", &CheckedProgram::store, nb::arg("k"), nb::arg("v"), nb::arg("cache"), nb::arg("layer"))
        .def("attend", &attend, nb::arg("q"), nb::arg("cache"), nb::arg("layer"), nb::arg("heads"), nb::arg("scale"),
             nb::arg("softcap"), nb::arg("temperature"), nb::arg("window"), nb::arg("out"))
        .def("gated", &gated, nb::arg("gate"), nb::arg("up"), nb::arg("activation"), nb::arg("out"))
        .def("add", &CheckedProgram::add, nb::arg("x"), nb::arg("y"), nb::arg("out"))
        .def("shift", &shift, nb::arg("x"), nb::arg("bias").noconvert(), nb::arg("out"))
        .def("scale", &CheckedProgram::scale, nb::arg("x"), nb::arg("factor"), nb::arg("out"))
        .def("softcap", &CheckedProgram::softcap, nb::arg("x"), nb::arg("cap"), nb::arg("out"))
        .def("route", &CheckedProgram::route, nb::arg("logits"), nb::arg("renormalised"), nb::arg("deal"))
        .def("deal", &CheckedProgram::deal, nb::arg("x"), nb::arg("deal"), nb::arg("out"))
        .def("fetch", &CheckedProgram::fetch, nb::arg("deal"), nb::arg("stacks"))
        .def("fetch_layers", &CheckedProgram::fetch_layers, nb::arg("stacks"))
        .def("stored_linear", &CheckedProgram::stored_linear, nb::arg("x"), nb::arg("rest").none(), nb::arg("stack"),
             nb::arg("out"))
        .def("mixture", &mixture<std::vector<Matrix>, std::array<std::vector<Matrix>, 3>>, nb::arg("gate_x"),
             nb::arg("gate_rest").none(), nb::arg("up_x"), nb::arg("up_rest").none(), nb::arg("gate"), nb::arg("up"),
             nb::arg("down"), nb::arg("precise"), nb::arg("activation"), nb::arg("deal"), nb::arg("out"))
        .def("mixture", &mixture<SharedStack, std::vector<SharedStack>>, nb::arg("gate_x"), nb::arg("gate_rest").none(),
             nb::arg("up_x"), nb::arg("up_rest").none(), nb::arg("gate"), nb::arg("up"), nb::arg("down"),
             nb::arg("precise"), nb::arg("activation"), nb::arg("deal"), nb::arg("out"))
        .def("combine", &CheckedProgram::combine, nb::arg("x"), nb::arg("deal"), nb::arg("out"))
        .def("select", &CheckedProgram::select, nb::arg("x"), nb::arg("out"))
        .def("step_bytes", &CheckedProgram::step_bytes, nb::arg("tokens"), nb::arg("wanted"),
             "Bytes that the buffers of such a step take.")
        .def("profile", &CheckedProgram::profile, "Note where time goes, from now on.")
        .def_prop_ro("costs", &costs, "Of every instruction: its name, seconds at work, seconds of waiting before it.")
        .def("run", &run, nb::arg("pool"), nb::arg("tokens").noconvert(), nb::arg("positions").noconvert(),
             nb::arg("starts").noconvert(), nb::arg("page_ids").noconvert(), nb::arg("page_starts").noconvert(),
             nb::arg("wanted").noconvert(), nb::arg("strengths").noconvert(), nb::arg("result"));
}

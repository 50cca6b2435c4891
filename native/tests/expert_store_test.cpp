// Experts read from a file under stress: arenas of all sizes, threads that wait for any of them, a file that ends
// early. Made for -fsanitize=thread, as program_test.cpp is.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "random.h"
#include "runtime/expert_store.h"

namespace gadfly {
namespace {

constexpr size_t kExperts = 6, kLayers = 3, kKinds = 3, kRows = 40, kColumns = 256, kSteps = 60;
constexpr size_t kBytes = kRows * kColumns * sizeof(float), kPages = (kBytes + 4095) / 4096 * 4096;

[[noreturn]] void fail(const char* what) {
    std::printf("%s\n", what);
    std::exit(1);
}

uint64_t offset_of(size_t layer, size_t kind, size_t expert) {
    return ((layer * kExperts + expert) * kKinds + kind) * kPages;
}

std::string make_file() {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/experts-XXXXXX";
    const int file = mkstemp(path.data());
    if (file < 0) fail("no temporary file");
    std::vector<uint32_t> words(kPages / 4);
    for (size_t matrix = 0; matrix < kLayers * kExperts * kKinds; matrix++) {
        std::fill(words.begin(), words.end(), static_cast<uint32_t>(matrix));
        if (write(file, words.data(), kPages) != static_cast<ssize_t>(kPages)) fail("no room for a temporary file");
    }
    close(file);
    return path;
}

bool holds(const std::byte* data, size_t layer, size_t kind, size_t expert) {
    uint32_t first = 0, last = 0;
    std::memcpy(&first, data, 4);
    std::memcpy(&last, data + kBytes - 4, 4);
    return first == offset_of(layer, kind, expert) / kPages && first == last;
}

// Whether all experts could be read; whatever is read has to be right.
bool step(ExpertStore& store, const std::vector<std::vector<SharedStack>>& layers, Random& random, size_t threads) {
    for (size_t layer = 0; layer < kLayers; layer++) {
        std::vector<size_t> busy;
        for (size_t expert = 0; expert < kExperts; expert++) {
            if (random.below(2) == 0) busy.push_back(expert);
        }
        store.fetch(busy, layers[layer], true);
        std::vector<std::atomic<size_t>> computed(busy.size());  // by how many threads
        const auto work = [&](size_t) {
            for (size_t place = 0; place < busy.size(); place++) {
                for (size_t kind = 0; kind < kKinds; kind++) {
                    const ExpertStack& stack = *layers[layer][kind];
                    const std::byte* data = store.wait(stack, place);
                    if (data != nullptr && !holds(data, layer, kind, stack.order[place])) fail("another expert");
                }
                if (++computed[place] == threads) store.finish(layers[layer], place);
            }
        };
        std::vector<std::thread> others;
        for (size_t thread = 1; thread < threads; thread++) others.emplace_back(work, thread);
        work(0);
        for (std::thread& other : others) other.join();
    }
    try {
        store.check_reads();
    } catch (const UnreadableExpert&) {
        return false;
    }
    return true;
}

void stress(const std::string& path, size_t experts, size_t threads) {
    const auto store = std::make_shared<ExpertStore>(path);
    std::vector<std::vector<SharedStack>> layers(kLayers);
    for (size_t layer = 0; layer < kLayers; layer++) {
        for (size_t kind = 0; kind < kKinds; kind++) {
            std::vector<uint64_t> offsets;
            for (size_t expert = 0; expert < kExperts; expert++) offsets.push_back(offset_of(layer, kind, expert));
            layers[layer].push_back(store->stack(kind, Layout::kF32, kRows, kColumns, std::move(offsets)));
        }
    }
    store->reserve(experts * kKinds * kPages + kPages, kPages);
    if (store->room() != experts) fail("another room than there is");
    Random random(static_cast<uint32_t>(experts));
    for (size_t i = 0; i < kSteps; i++) {
        if (!step(*store, layers, random, threads)) fail("a sound file could not be read");
    }
    const ExpertStore::Counts counts = store->counts();
    if (counts.bytes != counts.missing * kPages) fail("more is read than is missing");
    if (experts == kLayers * kExperts && counts.missing > kLayers * kExperts * kKinds)
        fail("what is there is read again");

    if (store->lend((experts - 1) * kKinds * kPages + 2 * kPages) != nullptr) fail("two experts have no room");
    for (size_t i = 0; i < kSteps; i++) {
        const size_t bytes = random.below(static_cast<uint32_t>((experts - 2) * kKinds * kPages + kPages));
        std::memset(store->lend(bytes), -1, bytes);
        if (!step(*store, layers, random, threads)) fail("a sound file could not be read beside a loan");
    }
    store->lend(0);
    for (size_t i = 0; i < kSteps / 2; i++) step(*store, layers, random, threads);  // all that has room is there again

    const off_t whole = kLayers * kExperts * kKinds * kPages;
    if (truncate(path.c_str(), whole / 2) != 0) fail("no truncation");
    bool failed = false;
    for (size_t i = 0; i < kSteps; i++) failed |= !step(*store, layers, random, threads);
    if (failed == (experts == kLayers * kExperts))
        fail("what cannot be read is noticed, and what is there needs no file");
}

}  // namespace
}  // namespace gadfly

int main() {
    for (const size_t experts : {size_t{2}, size_t{3}, size_t{7}, gadfly::kLayers * gadfly::kExperts}) {
        for (const size_t threads : {1, 2, 5}) {
            const std::string path = gadfly::make_file();
            gadfly::stress(path, experts, threads);
            unlink(path.c_str());
        }
    }
    std::puts("every expert is what the file holds");
}

// Tasks that torch's threads take from a counter.
#pragma once
#include <torch/csrc/stable/ops.h>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace moe {

inline int64_t threads() { return std::max<int64_t>(1, torch::stable::get_num_threads()); }

// Calls task(i) for i below n, each once, in the order of the counter.
template <class Task>
void for_tasks(int64_t n, const Task& task) {
  std::atomic<int64_t> counter{0};
  torch::stable::parallel_for(0, std::min(threads(), n), 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker)
      for (int64_t i = counter++; i < n; i = counter++) task(i);
  });
}

// Memory for the length of a call, on its own cache lines.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n) {
    if (n == 0) return;
    const size_t bytes = (size_t(n) * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (!data_) throw std::bad_alloc();
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return data_; }

 private:
  T* data_ = nullptr;
};

}  // namespace moe

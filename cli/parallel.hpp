// Independent pieces of work on a few threads; what comes out does not depend on how many.
#pragma once
#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace railcast {

/// Calls work(i) for every i below `count`; throws what the lowest i threw.
template <class Work>
void in_parallel(std::size_t count, int threads, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> thrown(count);
  const auto take = [&] {
    for (std::size_t i = next++; i < count; i = next++) try {
        work(i);
      } catch (...) {
        thrown[i] = std::current_exception();
      }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads && static_cast<std::size_t>(i) < count; ++i) others.emplace_back(take);
  take();
  others.clear();
  for (const auto& e : thrown)
    if (e) std::rethrow_exception(e);
}

}  // namespace railcast

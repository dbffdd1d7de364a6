// A shared library found at run time.
#pragma once
#include <dlfcn.h>

#include <initializer_list>

namespace railcast::kernels {

class SharedLibrary {
 public:
  /// The first of these that can be opened; false: none.
  bool open_first(std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (handle_ == nullptr) handle_ = dlopen(name, RTLD_NOW);
    return handle_ != nullptr;
  }
  /// The function of this name; false (and null): it has none.
  template <typename F>
  bool find(F& function, const char* name) const {
    function = reinterpret_cast<F>(dlsym(handle_, name));
    return function != nullptr;
  }

 private:
  void* handle_ = nullptr;  ///< never closed
};

}  // namespace railcast::kernels

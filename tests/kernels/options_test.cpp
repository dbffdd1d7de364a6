#include "kernels/options.hpp"

#include <filesystem>

#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast::kernels;

namespace {

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parse_options(arguments);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the command line's options are taken as given", "[kernels][options]") {
  const Options o = parse_options({"--suite", "gemms", "--method", "cool", "--impl", "railcast", "--impl",
                                   "cublaslt_block", "--dry", "--seed", "0", "--cases", "500"});
  CHECK(o.suite == "gemms");
  CHECK(o.methods == std::vector<std::string>{"cool"});
  CHECK(o.impls == std::vector<std::string>{"railcast", "cublaslt_block"});
  CHECK((o.dry && o.cases == 500 && o.seed == 0));
  CHECK(parse_options({"--tune", "combine"}).suite == "combine_tune");
  CHECK(parse_options({"--method", "both"}).methods == parse_options({}).methods);
}

TEST_CASE("a bad option is named with what was expected", "[kernels][options]") {
  CHECK(refusal({"--method", "warm"}) == "--method is 'warm'; expected cool, sustained, both");
  CHECK(refusal({"--tune", "gemm"}) == "--tune is 'gemm'; expected dispatch, combine");
  CHECK(refusal({"--cases", "-3"}) == "--cases wants a whole number from 1 to 999999999, got '-3'");
  CHECK(refusal({"--filters", "m=1"}) == "'--filters' is unknown; --help lists the options");
  CHECK(refusal({"--suite"}) == "--suite wants a value; --help says which");
  CHECK(refusal({"--shapes", "/nowhere"}).find("/nowhere: cannot be read") == 0);
}

TEST_CASE("the help names every option, the units and examples", "[kernels][options]") {
  const std::string help = kUsage;
  for (const char* option : {"--list", "--suite", "--filter", "--shapes", "--method", "--impl", "--out", "--json",
                             "--commit", "--dry", "--tune", "--cases", "--seed"})
    CHECK(help.find(std::string("\n  ") + option) != std::string::npos);
  for (const char* word : {"microseconds", "TFLOP/s", "GB/s", "MHz", "Exit codes"})
    CHECK(help.find(word) != std::string::npos);
  CHECK(help.find("\n  railcast-measure --suite") != std::string::npos);
}

TEST_CASE("lines of shapes are read by stem, with tiles where a stem takes them", "[kernels][options]") {
  const railcast::Scratch folder;
  const std::string path =
      folder.write("shapes.txt", "# mine\n\ngemm,4096,7168,2048\nwgrad,64,128,256,128,128,1,1\ngemm,1,16,16\n");
  const Options o = parse_options({"--shapes", path});
  CHECK(o.shapes_file == path);
  CHECK(o.shapes ==
        ShapeLines{{"gemm", {{4096, 7168, 2048}, {1, 16, 16}}}, {"wgrad", {{64, 128, 256, 128, 128, 1, 1}}}});
}

TEST_CASE("rubbish among the shapes is refused by file and line", "[kernels][options]") {
  const railcast::Scratch folder;
  const auto refused = [&](const std::string& text) {
    const std::string path = folder.write("shapes.txt", text), why = refusal({"--shapes", path});
    REQUIRE(why.find(path + ":") == 0);
    return why.substr(path.size() + 1);
  };
  CHECK(refused("gemm,4096,x,2048\n") == "1: n wants a whole number from 1 to 999999999, got 'x'");
  CHECK(refused("gemm,1,16,16\ngemm,0,16,16\n") == "2: m wants a whole number from 1 to 999999999, got '0'");
  CHECK(refused("gemm,4096,7168\n") == "1: expected gemm,m,n,k, got 'gemm,4096,7168'");
  CHECK(refused("wgrad,64,64,64,128\n") == "1: expected wgrad,m,n,k[,bm,bn,multicast,split], got 'wgrad,64,64,64,128'");
  CHECK(refused("gem,1,2,3\n").find("1: 'gem' takes no shapes; expected a line that begins with gemm, ") == 0);
  CHECK(refused("\x7f\x45LF\n").find("takes no shapes") != std::string::npos);
  CHECK(refused("# none\n").find(" no shapes") == 0);
  const std::string huge = folder.write("huge.txt", "");
  std::filesystem::resize_file(huge, std::uintmax_t{10} << 30);  // sparse
  CHECK(refusal({"--shapes", huge}) == huge + ": 10737418240 bytes are no list of shapes; --shapes reads up to 1 MiB");
}

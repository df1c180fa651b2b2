# What `cmake --install` installs, and where. The components keepstep, libkeepstep0 and
# libkeepstep-dev are also Debian packages. The packages have the files of the component `plain` in
# another form.

set(KEEPSTEP_UNIT_DIR lib/systemd/system CACHE STRING "folder of the systemd unit")
set(KEEPSTEP_COMPLETION_DIR ${CMAKE_INSTALL_DATADIR}/bash-completion/completions CACHE STRING
    "folder of bash's completions")
set(documents ${PROJECT_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})

find_program(KEEPSTEP_GZIP gzip REQUIRED)
# keepstep_document(FILE NAME FILTER...): makes FILE from the output of `keepstep_manual NAME`, through
# a filter.
add_executable(keepstep_manual operate/manual/main.c)
target_link_libraries(keepstep_manual PRIVATE keepstep_operate)
add_custom_target(keepstep_documents ALL)
function(keepstep_document file name)
    add_custom_command(OUTPUT ${documents}/${file} ${documents}/${file}.gz
        COMMAND keepstep_manual ${name} > ${documents}/${file}.txt
        COMMAND ${ARGN} < ${documents}/${file}.txt > ${documents}/${file}
        COMMAND ${KEEPSTEP_GZIP} -9nkf ${documents}/${file}
        DEPENDS keepstep_manual ${PROJECT_SOURCE_DIR}/cmake/man.awk VERBATIM)
    add_custom_target(keepstep_document_${file} DEPENDS ${documents}/${file})
    add_dependencies(keepstep_documents keepstep_document_${file})
endfunction()
set(man awk -v date=${KEEPSTEP_RELEASED} -v version=${PROJECT_VERSION}
    -f ${PROJECT_SOURCE_DIR}/cmake/man.awk)
keepstep_document(keepstep.1 commands ${man} -v name=keepstep -v section=1
    -v "summary=keep every service's copy of another service's data in step")
keepstep_document(keepstep.5 configuration ${man} -v name=keepstep -v section=5
    -v "summary=configuration of a service's sidecar")
keepstep_document(keepstep-metrics.7 metrics ${man} -v name=keepstep-metrics -v section=7
    -v "summary=what the page /metrics of a sidecar counts")
keepstep_document(completion completion cat)

# The program.
install(TARGETS keepstep COMPONENT keepstep)
foreach(page keepstep.1 keepstep.5 keepstep-metrics.7)
    string(REGEX REPLACE ".*[.]" "" section ${page})
    install(FILES ${documents}/${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
        COMPONENT keepstep)
endforeach()
install(FILES ${documents}/completion DESTINATION ${KEEPSTEP_COMPLETION_DIR} RENAME keepstep
    COMPONENT keepstep)
install(FILES README.md CONTRIBUTING.md NOTICE COMPONENT keepstep
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT keepstep
    FILES_MATCHING PATTERN *.md PATTERN *.png PATTERN *.yaml)
install(FILES deploy/compose/orders/keepstep.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
    RENAME orders.yaml COMPONENT keepstep)
install(DIRECTORY deploy/prometheus deploy/grafana DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
    COMPONENT keepstep)
install(DIRECTORY deploy/compose/schemas DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT keepstep)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT plain)

# The unit has the program's path, which is known only at the installation.
install(CODE "set(CMAKE_INSTALL_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_BINDIR BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\"
        OUTPUT_VARIABLE CMAKE_INSTALL_FULL_BINDIR)
    configure_file(\"${PROJECT_SOURCE_DIR}/deploy/systemd/keepstep@.service.in\"
        \"${documents}/keepstep@.service\" @ONLY)" COMPONENT keepstep)
install(FILES ${documents}/keepstep@.service DESTINATION ${KEEPSTEP_UNIT_DIR} COMPONENT keepstep)

# The library.
file(RELATIVE_PATH KEEPSTEP_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
    ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/libkeepstep.pc.in ${documents}/libkeepstep.pc @ONLY)
install(TARGETS keepstep_publisher_shared
    LIBRARY COMPONENT libkeepstep0 NAMELINK_COMPONENT libkeepstep-dev
    PUBLIC_HEADER COMPONENT libkeepstep-dev)
install(TARGETS keepstep_publisher_static ARCHIVE COMPONENT libkeepstep-dev)
install(FILES ${documents}/libkeepstep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT libkeepstep-dev)
